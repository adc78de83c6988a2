/** Who is told when a descriptor is ready, and how (F_SETOWN, F_SETSIG and O_ASYNC in fcntl(2)). */
import { existsSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { DescriptionModel, ImageModel } from '../image/model.js'
import { field, innermost, readStat, readStatus } from '../proc/status.js'
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import type { SeenDescription, SeenTree } from './description.js'
import { O_ASYNC, O_PATH } from './open-flags.js'
import { refusal } from './refusal.js'
import type { Support } from './support.js'
import { isOfTree } from './tree-now.js'

export const support: Support = {
  topic: 'descriptors',
  carried: 'who is told by a signal that they are ready',
  refused: { THAW_OWNER_OUTSIDE: 'descriptors whose owner (`F_SETOWN`) is outside the tree' },
}

export type Owner = Pick<DescriptionModel, 'ownerType' | 'owner' | 'signal'>

const NOBODY: Owner = { ownerType: 0, owner: 0, signal: 0 }
const F_SETFL = 4
const F_SETSIG = 10
const F_GETSIG = 11
const F_SETOWN_EX = 15
const F_GETOWN_EX = 16
const F_OWNER_TID = 0
const F_OWNER_PID = 1
const STAT_GROUP = 5 - 3

/** By the numbers of the tree itself. Only read where it can have been set, that is never for O_PATH. */
export function collectOwner(seen: SeenDescription, tree: SeenTree): Owner {
  if ((seen.info.flags & O_PATH) !== 0) return NOBODY
  const fd = seen.duplicate()
  const bytes = new Uint8Array(8)
  native.fcntlBuffer(fd, F_GETOWN_EX, bytes)
  const [ownerType = 0, owner = 0] = new Int32Array(bytes.buffer)
  const signal = native.fcntl(fd, F_GETSIG)
  // Nobody, or who has ended: the kernel does not tell its number any more.
  if (owner === 0) return { ownerType, owner, signal }
  const inner = innerNumber(ownerType, owner, tree)
  if (inner === undefined)
    throw refusal(
      seen,
      'THAW_OWNER_OUTSIDE',
      `is ${seen.link}, which tells ${describe(ownerType)} ${owner}, outside the tree, when it is ready`,
      'Give it an owner of the fixture, or none, in the warm-up (fcntl, F_SETOWN).',
    )
  return { ownerType, owner: inner, signal }
}

const describe = (type: number): string => (type === F_OWNER_TID ? 'thread' : type === F_OWNER_PID ? 'process' : 'process group')

/** A thread, a process or a group, as the tree knows it; undefined for one outside. */
function innerNumber(type: number, number: number, tree: SeenTree): number | undefined {
  const { processes } = tree
  if (type === F_OWNER_TID) {
    const process = processes.find(({ pid }) => existsSync(`/proc/${pid}/task/${number}`))
    return process === undefined ? undefined : innermost(readStatus(process.pid, number), 'NSpid')
  }
  const isOurs = processes.some(({ pid }) => pid === number || pid === parentOf(number))
  if (!isOurs && !tree.frozen && isOfTree(number, tree)) return 0
  if (type === F_OWNER_PID) return isOurs ? innermost(readStatus(number), 'NSpid') : undefined
  if (!isOurs && existsSync(`/proc/${number}`)) return undefined
  const member = processes.find(({ pid }) => Number(readStat(pid)[STAT_GROUP]) === number)
  return member === undefined ? undefined : innermost(readStatus(member.pid), 'NSpgid')
}

/** Of a process of the tree or one that has ended and waits to be reaped; 0 for who is gone. */
function parentOf(pid: number): number {
  try {
    return Number(field(readStatus(pid), 'PPid'))
  } catch {
    return 0
  }
}

/** Whether an owner is there only when threads beside the first ones are. */
export function areThreadsOwners({ processes, descriptions }: ImageModel): boolean {
  const threads = new Set(processes.flatMap(({ pid, threads }) => threads.map(({ tid }) => tid).filter((tid) => tid !== pid)))
  return descriptions.some(({ ownerType, owner }) => ownerType === F_OWNER_TID && threads.has(owner))
}

/**
 * Who gets the signals must be there; and the number that they tell (si_fd) is the one that this is set through.
 * @param settable status flags that F_SETFL sets, beside O_ASYNC
 */
export function emitOwner(
  program: Program,
  { flags, ownerType, owner, signal }: DescriptionModel,
  fd: Cell | number,
  settable: number,
): void {
  if ((flags & O_PATH) !== 0) return
  const owned = new Uint8Array(Int32Array.of(ownerType, owner).buffer)
  if (owner !== 0) program.call('fcntl', [fd, F_SETOWN_EX, program.bundle.bytes(owned)])
  if (signal !== 0) program.call('fcntl', [fd, F_SETSIG, signal])
  if ((flags & O_ASYNC) !== 0) program.call('fcntl', [fd, F_SETFL, flags & (settable | O_ASYNC)])
}
