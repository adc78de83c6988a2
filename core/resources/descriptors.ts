/** Descriptor tables: which number refers to which open file description, over the whole tree. */
import { closeSync, readdirSync, readlinkSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { FileStatus } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import type { DescriptionModel, DescriptorModel } from '../image/model.js'
import { readFdInfo } from '../proc/fdinfo.js'
import type { FdInfo } from '../proc/fdinfo.js'
import { readMappings } from '../proc/maps.js'
import { homeOf } from './description.js'
import type { DescriptionKind, SeenDescription, SeenProcess, SeenTree } from './description.js'
import { refuseStrayRings } from './io-uring/mappings.js'
import { describe, kindOf } from './kinds.js'
import { collectOwner } from './owner.js'
import { refusal, Refusals } from './refusal.js'
import { discoverInFlight } from './unix/queue.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'descriptors',
  conditions: [
    'What is made anew (pipes, sockets, memfds, files without a name, those on the /dev/shm of a sandbox) has other inode numbers, and was changed (`st_ctime`) then.',
  ],
  refused: { THAW_DESCRIPTOR: 'devices, sockets of other families and protocols' },
}

const KCMP_FILE = 0
const CLOCK_MONOTONIC = 1

export interface SeenDescriptor {
  readonly process: SeenProcess
  readonly fd: number
  readonly closeOnExec: boolean
  readonly info: FdInfo
  readonly description: SeenDescription
}

/** All descriptors of the processes. `dispose` closes the duplicates that kinds asked for. */
export interface SeenDescriptors extends Disposable {
  readonly descriptors: readonly SeenDescriptor[]
  readonly descriptions: readonly SeenDescription[]
  readonly inFlight: SeenTree['inFlight']
  readonly ofFile: SeenTree['ofFile']
  readonly holdersOf: (description: SeenDescription) => readonly SeenDescriptor[]
  /** By its number. */
  readonly in: (process: SeenProcess) => ReadonlyMap<number, SeenDescriptor>
}

export function seeDescriptors(processes: readonly SeenProcess[]): SeenDescriptors {
  const descriptors: SeenDescriptor[] = []
  const descriptions: SeenDescription[] = []
  const duplicates: number[] = []
  const files = new Lists<string, SeenDescription>()
  const holders = new Lists<SeenDescription, SeenDescriptor>()
  const tables = new Map<SeenProcess, Map<number, SeenDescriptor>>()
  const discover = (seen: SeenDescription): void => {
    descriptions.push(seen)
    files.add(fileKey(seen.status), seen)
  }
  for (const process of processes) {
    const table = new Map<number, SeenDescriptor>()
    tables.set(process, table)
    for (const fd of descriptorNumbers(process.pid)) {
      const link = linkOf(process.pid, fd)
      if (link === undefined) continue
      const { closeOnExec, ...seen } = look(process, fd, link, descriptions.length + 1, duplicates)
      const candidates = files.of(fileKey(seen.status)).filter((other) => other.link === link)
      const same = candidates.find((other) => native.kcmp(process.pid, other.process.pid, KCMP_FILE, fd, other.fd) === 0)
      if (same === undefined) discover(seen)
      const descriptor = { process, fd, closeOnExec, info: seen.info, description: same ?? seen }
      descriptors.push(descriptor)
      table.set(fd, descriptor)
      holders.add(descriptor.description, descriptor)
    }
  }
  return {
    descriptors,
    descriptions,
    ofFile: (status) => files.of(fileKey(status)),
    holdersOf: (description) => holders.of(description),
    in: (process) => tables.get(process) ?? new Map<number, SeenDescriptor>(),
    inFlight(fd, flight): SeenDescription {
      duplicates.push(fd)
      const link = readlinkSync(`/proc/self/fd/${fd}`)
      const same = descriptions.find(
        (other) => other.link === link && native.kcmp(process.pid, other.process.pid, KCMP_FILE, fd, other.fd) === 0,
      )
      if (same !== undefined) return same
      const receiver = homeOf(flight.queue)
      const own = { ...receiver, pid: process.pid, name: `in flight to ${receiver.name}`, receiver }
      const fresh = { ...look(own, fd, link, descriptions.length + 1, duplicates), flight, duplicate: () => fd }
      discover(fresh)
      return fresh
    },
    [Symbol.dispose](): void {
      for (const fd of duplicates.splice(0)) closeSync(fd)
    },
  }
}

const fileKey = ({ device, inode }: Pick<FileStatus, 'device' | 'inode'>): string => `${device}:${inode}`

class Lists<Key, Value> {
  readonly #lists = new Map<Key, Value[]>()

  of(key: Key): readonly Value[] {
    return this.#lists.get(key) ?? []
  }

  add(key: Key, value: Value): void {
    const list = this.#lists.get(key)
    if (list === undefined) this.#lists.set(key, [value])
    else list.push(value)
  }
}

/** Undefined for one that a running process has closed meanwhile. */
function linkOf(pid: number, fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

const descriptorNumbers = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/fd`)
    .map(Number)
    .sort((a, b) => a - b)

function look(
  process: SeenProcess,
  fd: number,
  link: string,
  id: number,
  duplicates: number[],
): SeenDescription & { closeOnExec: boolean } {
  const info = readFdInfo(process.pid, fd)
  let own: number | undefined
  return {
    id,
    process,
    fd,
    link,
    status: native.statPath(`/proc/${process.pid}/fd/${fd}`),
    info,
    closeOnExec: info.closeOnExec,
    duplicate(): number {
      if (own === undefined) {
        own = native.pidfdGetfd(process.pidfd, fd)
        duplicates.push(own)
      }
      return own
    },
  }
}

export function seenTree(
  processes: readonly SeenProcess[],
  seen: SeenDescriptors,
  given: Pick<SeenTree, 'init' | 'options' | 'frozen' | 'keepContent' | 'askInside' | 'afterwards'>,
  blobs: Uint8Array[],
): SeenTree {
  return {
    ...given,
    mappingsOf: memoized((process) => readMappings(process.pid)),
    processes,
    descriptions: seen.descriptions,
    inFlight: seen.inFlight,
    now: () => native.clockGettime(CLOCK_MONOTONIC),
    ofFile: seen.ofFile,
    holdersOf: seen.holdersOf,
    descriptionOf: (process, fd) => seen.in(process).get(fd)?.description,
    addBlob: (bytes) => blobs.push(bytes) - 1,
  }
}

function memoized<Key, Value>(compute: (key: Key) => Value): (key: Key) => Value {
  const known = new Map<Key, Value>()
  return (key) => {
    const value = known.get(key) ?? compute(key)
    known.set(key, value)
    return value
  }
}

/** Reads the state of every description. All that are not carried are named in one error. */
export function collectDescriptions(tree: SeenTree): DescriptionModel[] {
  const refusals = new Refusals()
  refuseStrayRings(tree)
  discoverInFlight(tree)
  const models: DescriptionModel[] = []
  for (const seen of tree.descriptions) {
    const model = refusals.gather(() => collectDescription(seen, tree))
    if (model !== undefined) models.push(model)
  }
  refusals.throw()
  return models
}

function collectDescription(seen: SeenDescription, tree: SeenTree): DescriptionModel {
  const kind = kindOf(seen, tree)
  if (kind === undefined) {
    const { process, fd } = seen
    throw new UnsupportedError(
      'THAW_DESCRIPTOR',
      `Cannot checkpoint pid ${process.pid} (${process.name}): descriptor ${fd} is ${describe(seen)}, which is not carried. Close it in the warm-up.`,
      { pid: process.pid },
    )
  }
  const payload = kind.collect(seen, tree)
  refuseStrayLock(seen, kind)
  return { id: seen.id, flags: seen.info.flags, ...collectOwner(seen, tree), kind: kind.name, payload }
}

/** flock(2) takes whatever is open. */
function refuseStrayLock(seen: SeenDescription, kind: DescriptionKind<unknown>): void {
  if (kind.carriesLocks !== true && seen.info.lines.some((line) => line.startsWith('lock:')))
    throw refusal(
      seen,
      'THAW_FILE_LOCK',
      `is ${describe(seen)} with a lock on it, which is carried of files and folders only`,
      'Release it in the warm-up.',
    )
}

export function descriptorModels(seen: SeenDescriptors, process: SeenProcess): DescriptorModel[] {
  return [...seen.in(process).values()].map(({ fd, closeOnExec, description }) => ({ fd, description: description.id, closeOnExec }))
}
