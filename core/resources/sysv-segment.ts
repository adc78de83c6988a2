/**
 * Segments of System V shared memory (shmget(2), shmop(2)). A segment lives on without anybody who has attached it; what a tree has attached, or
 * has in an IPC namespace of its own, is carried with its id and key. Its contents are core/resources/shared-memory.ts.
 */
import { readFileSync } from 'node:fs'
import { UnsupportedError } from '../errors.js'
import type { MappingLine } from '../proc/maps.js'
import type { Program } from '../program/program.js'
import type { AskInside, Emitter, SeenProcess, SeenTree } from './description.js'
import { emitObject, hasOwnNamespace, permissionsOf, readTable } from './sysv/table.js'
import type { SysvLine, SysvPermissions } from './sysv/table.js'
import type { Support } from './support.js'
import { findOutside } from './tree-now.js'

export const support: Support = {
  topic: 'memory',
  carried: 'System V segments with their ids and keys',
  conditions: [
    'Who used a System V object last, and when, is told anew; who made a segment is, where that process was outside the tree, the first process of the tree.',
  ],
  refused: {
    THAW_SYSV_UNATTACHED: 'System V segments that no process has attached',
    THAW_SYSV_PARTIAL: 'System V segments attached in part only',
    THAW_IPC_NAMESPACE: 'processes of one tree in several IPC namespaces, or in one that this user may not enter',
  },
}

export interface SysvSegment {
  permissions: SysvPermissions
  /** As it was asked for, not in whole pages. */
  sizeBytes: bigint
  /** Pid of who made it; 0 when that is none of the tree. */
  creator: number
  /** Marked to go with its last attachment (IPC_RMID). */
  removed: boolean
  locked: boolean
}

const name = /^\/SYSV([0-9a-f]{8}) \(deleted\)$/
const PAGE_BYTES = 4096n
const SHM_DEST = 0o1000
const SHM_LOCKED = 0o2000
const IPC_RMID = 0
const SHM_LOCK = 11
const SHM_RDONLY = 0o10000
const SHM_REMAP = 0o40000
/** struct shmid64_ds (asm-generic/shmbuf.h). */
const SHMID_BYTES = 112
const CREATOR_AT = 80
/** Since Linux 4.17; it takes an index, the lower part of an id, and needs no permission. */
const SHM_STAT_ANY = 15
const INDEX_BITS = 0x7fff

export const isSegment = ({ path }: MappingLine): boolean => name.test(path)

interface Attachment {
  readonly process: SeenProcess
  readonly line: MappingLine
}

/** The segments of a tree. @throws UnsupportedError for those that others use, too, or whose contents nobody shows */
export function collectSegments(tree: SeenTree): SysvSegment[] {
  const [first] = tree.processes
  if (first === undefined) return []
  const attachments = tree.processes.flatMap((process) =>
    tree
      .mappingsOf(process)
      .filter(isSegment)
      .map((line) => ({ process, line })),
  )
  const isOwn = hasOwnNamespace(tree)
  return readTable(first, 'shm').flatMap((row) => {
    const own = attachments.filter(({ line }) => line.inode === row['shmid'])
    const creator = tree.processes.find(({ pid }) => BigInt(pid) === row['cpid'])
    if (own.length === 0 && !isOwn && creator === undefined) return []
    // Of a tree that runs, it may have been attached since by whom: in the freeze that is known.
    if (own.length === 0 && !tree.frozen && row['nattch'] !== 0n) return []
    return [collectSegment(row, own, creator, tree)]
  })
}

function collectSegment(row: SysvLine, attachments: readonly Attachment[], creator: SeenProcess | undefined, tree: SeenTree): SysvSegment {
  const permissions = permissionsOf(row, 'shm')
  const [bits, sizeBytes] = [Number(row['perms']), row['size'] ?? 0n]
  const [one] = attachments
  const { pid, name: command } = one?.process ?? creator ?? tree.processes[0] ?? { pid: 0, name: '' }
  const refuse = (code: string, why: string): never => {
    throw new UnsupportedError(
      code,
      `Cannot checkpoint pid ${pid} (${command}): System V shared memory ${permissions.id} (key 0x${(permissions.key >>> 0).toString(16)}) ${why}`,
      { pid },
    )
  }
  if (one === undefined)
    return refuse('THAW_SYSV_UNATTACHED', 'is attached by no process, which is not carried. Attach it, or remove it (ipcrm).')
  if (isAttachedOutside(row, attachments.length, one.line, tree))
    refuse('THAW_SYSV_SHARED', 'is attached by processes outside the tree, too. Checkpoint them together, or detach it there.')
  if (!areAllShown(attachments, sizeBytes))
    refuse('THAW_SYSV_PARTIAL', 'is attached in part only, and nobody shows the rest, which is not carried. Attach all of it.')
  const segment = {
    permissions: { ...permissions, key: keyOf(one.line) },
    sizeBytes,
    creator: creator?.innerPid ?? 0,
    removed: (bits & SHM_DEST) !== 0,
    locked: (bits & SHM_LOCKED) !== 0,
  }
  // What pid a process had that is gone is known in its own pid namespace.
  if (creator === undefined)
    tree.askInside(
      one.process,
      askCreator(permissions.id, (inner) => (segment.creator = inner)),
    )
  return segment
}

/**
 * While the tree runs, what is counted here and there may be of different moments: only who is found counts. Who is hidden from this user is
 * left to the freeze, in which the numbers agree.
 */
function isAttachedOutside(row: SysvLine, seen: number, line: MappingLine, tree: SeenTree): boolean {
  const outside = (row['nattch'] ?? 0n) - BigInt(seen)
  if (tree.frozen) return outside !== 0n
  return outside > 0n && findOutside(tree, (pid) => hasAttached(pid, line)) !== undefined
}

function hasAttached(pid: number, { device, inode }: MappingLine): boolean {
  try {
    return readFileSync(`/proc/${pid}/maps`, 'latin1').includes(` ${device} ${inode} `)
  } catch {
    // It has ended, or is another user's.
    return false
  }
}

/** 0 for a process of a namespace outside; pid 1 is the init of a sandbox. */
function askCreator(id: number, tell: (pid: number) => void): AskInside {
  return (program) => {
    const status = program.bundle.allocate(SHMID_BYTES)
    const result = program.call('shmctl', [id & INDEX_BITS, SHM_STAT_ANY, status], 'any')
    return (results) => {
      const creator = new DataView(results.bytes(status, SHMID_BYTES).slice().buffer).getInt32(CREATOR_AT, true)
      tell(results.cell(result) === BigInt(id) && creator > 1 ? creator : 0)
    }
  }
}

/** The name keeps the key that an object loses when it is removed. */
const keyOf = ({ path }: MappingLine): number => Number.parseInt(name.exec(path)?.[1] ?? '0', 16) | 0

function areAllShown(attachments: readonly Attachment[], sizeBytes: bigint): boolean {
  let shown = 0n
  for (const { line } of attachments.toSorted((a, b) => (a.line.offset < b.line.offset ? -1 : 1))) {
    if (line.offset > shown) return false
    const end = line.offset + line.end - line.start
    if (end > shown) shown = end
  }
  return shown >= ((sizeBytes + PAGE_BYTES - 1n) / PAGE_BYTES) * PAGE_BYTES
}

/** In the first process, before it forks: made, and attached at an address. One that is removed stays as long as it is attached. */
export function emitSegment(
  emitter: Emitter,
  { permissions, sizeBytes, creator, removed, locked }: SysvSegment,
  at: bigint,
  root: number,
): void {
  const { program } = emitter
  const { key, id } = permissions
  emitObject(emitter, 'shm', permissions, creator === 0 ? root : creator, (flags) => ['shmget', [key, sizeBytes, flags]])
  program.call('shmat', [id, at, 0], { equal: at })
  if (locked) program.call('shmctl', [id, SHM_LOCK, 0])
  if (removed) program.call('shmctl', [id, IPC_RMID, 0])
}

/** Attaches it anew where `emitSegment` did: `SHM_RDONLY` is what a mapping of it takes from there. */
export function emitReattached(program: Program, { permissions }: SysvSegment, at: bigint, writable: boolean): void {
  program.call('shmat', [permissions.id, at, SHM_REMAP | (writable ? 0 : SHM_RDONLY)], { equal: at })
}
