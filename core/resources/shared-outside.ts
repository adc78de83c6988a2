/**
 * What a process outside the tree has, too, and notices changes of: memory without a name, files without a name, and descriptions that
 * keep a state of their own. A copy would have it alone. Of pipes, sockets, terminals and System V objects, their own kinds tell.
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { native } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import { readFdInfo } from '../proc/fdinfo.js'
import type { MappingLine } from '../proc/maps.js'
import { field, readStatus } from '../proc/status.js'
import type { SeenDescription, SeenProcess, SeenTree } from './description.js'
import { statDevice } from './file-identity.js'
import { isMessageQueue } from './mqueue/recognition.js'
import { O_ACCMODE, O_PATH, O_RDONLY, S_IFMT, S_IFREG } from './open-flags.js'
import { Refusals } from './refusal.js'
import type { Support } from './support.js'
import { isOutside } from './tree-now.js'
import { isSegment } from './sysv-segment.js'

export const support: Support = {
  topic: 'descriptors',
  conditions: [
    'What a process outside the tree has, too, is refused as far as this user may look at that process. The dumper itself is not looked at, nor standard streams.',
  ],
  refused: {
    THAW_SHARED_OUTSIDE: 'shared memory, memfds, deleted files, eventfds, timers and epoll sets that a process outside the tree has, too',
  },
}

const KCMP_FILE = 0
const LESS = 1
const F_GET_SEALS = 1034
const F_SEAL_WRITE = 8
const STREAMS = 3
/** Descriptions with a state that shows wherever they are open. */
const STATEFUL = new Set(['eventfd', 'timerfd', 'eventpoll', 'io_uring'].map((name) => `anon_inode:[${name}]`).concat('anon_inode:inotify'))
const DELETED = ' (deleted)'

interface Shared {
  readonly process: SeenProcess
  /** Continues "Cannot checkpoint pid 7 (name): ". */
  readonly what: string
}

interface SharedFile extends Shared {
  /** The tree may write to it; else what it holds changes only where somebody outside may. */
  written: boolean
}

/**
 * One pass over all other processes, where there is anything to look for.
 * @throws UnsupportedError THAW_SHARED_OUTSIDE
 */
export function refuseSharedOutside(tree: SeenTree): void {
  const search = new Search(tree)
  if (search.isEmpty) return
  const inside = new Set(tree.processes.map(({ pid }) => pid))
  const refusals = new Refusals()
  for (const pid of readdirSync('/proc').map(Number)) {
    if (!(pid > 0) || inside.has(pid)) continue
    const found = search.in(pid)
    // Who was forked meanwhile is of the tree, too.
    if (found.length > 0 && isOutside(pid, tree)) for (const shared of found) refusals.add(refused(shared, pid))
  }
  refusals.throw()
}

class Search {
  readonly #files: Map<string, SharedFile>
  /** By link, in the kernel's order. */
  readonly #descriptions = new Map<string, SeenDescription[]>()

  constructor(tree: SeenTree) {
    this.#files = filesOf(tree)
    for (const seen of tree.descriptions)
      if (STATEFUL.has(seen.link) && seen.flight === undefined)
        this.#descriptions.set(seen.link, [...(this.#descriptions.get(seen.link) ?? []), seen])
    for (const seen of this.#descriptions.values()) seen.sort((a, b) => order(a, b.process.pid, b.fd))
  }

  get isEmpty(): boolean {
    return this.#files.size === 0 && this.#descriptions.size === 0
  }

  /** @returns nothing for who is gone, or belongs to another user */
  in(pid: number): Shared[] {
    try {
      const mapped = this.#files.size > 0 ? this.#mappedIn(pid) : []
      // The dumper has duplicates of its own.
      return [...new Set([...mapped, ...(pid === process.pid ? [] : this.#openIn(pid))])]
    } catch {
      return []
    }
  }

  #mappedIn(pid: number): Shared[] {
    return [...readFileSync(`/proc/${pid}/maps`, 'latin1').matchAll(SHARED_LINE)].flatMap(([, writes, device = '', inode]) => {
      const file = this.#files.get(`${statDevice(device)}:${inode}`)
      return file !== undefined && (file.written || writes === 'w') ? [file] : []
    })
  }

  #openIn(pid: number): Shared[] {
    return readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
      const fd = Number(name)
      const link = linkOf(pid, fd)
      if (link.endsWith(DELETED)) return this.#files.size > 0 ? this.#openFile(pid, fd) : []
      const seen = find(this.#descriptions.get(link) ?? [], pid, fd)
      return seen === undefined ? [] : [{ process: seen.process, what: `descriptor ${seen.fd} (${link}) is open` }]
    })
  }

  #openFile(pid: number, fd: number): Shared[] {
    const { device, inode } = native.statPath(`/proc/${pid}/fd/${fd}`)
    const file = this.#files.get(`${device}:${inode}`)
    return file !== undefined && (file.written || canWrite(readFdInfo(pid, fd).flags)) ? [file] : []
  }
}

/** Files without a name that mappings show shared, or that are open, by device and inode. */
function filesOf(tree: SeenTree): Map<string, SharedFile> {
  const files = new Map<string, SharedFile>()
  const note = (key: string, process: SeenProcess, what: string, written: boolean): void => {
    const known = files.get(key)
    if (known === undefined) files.set(key, { process, what, written })
    else known.written ||= written
  }
  for (const process of tree.processes)
    for (const line of tree.mappingsOf(process))
      if (isNameless(line))
        note(
          `${statDevice(line.device)}:${line.inode}`,
          process,
          `the shared memory at 0x${line.start.toString(16)} is mapped`,
          line.flags.has('mw'),
        )
  for (const seen of tree.descriptions) {
    const { status, info, process, fd, link } = seen
    const isFile = (status.mode & S_IFMT) === S_IFREG && status.links === 0 && (info.flags & O_PATH) === 0
    if (!isFile || seen.flight !== undefined || fd < STREAMS || isMessageQueue(seen) || isSealed(seen)) continue
    note(`${status.device}:${status.inode}`, process, `descriptor ${fd} (${link}) leads to a file that is open`, canWrite(info.flags))
  }
  return files
}

const isNameless = (line: MappingLine): boolean =>
  line.permissions.endsWith('s') &&
  (line.path.endsWith(DELETED) || line.path.startsWith('[anon_shmem:')) &&
  !isSegment(line) &&
  !line.path.startsWith('/memfd:thaw-')

/** Nobody can change it. */
function isSealed(seen: SeenDescription): boolean {
  if (!seen.link.startsWith('/memfd:')) return false
  return (native.fcntl(seen.duplicate(), F_GET_SEALS) & F_SEAL_WRITE) !== 0
}

const canWrite = (flags: number): boolean => (flags & O_PATH) === 0 && (flags & O_ACCMODE) !== O_RDONLY

/** Whether it is mapped to be written, the device and the inode of each line of /proc/PID/maps that shows something shared. */
const SHARED_LINE = /^[0-9a-f]+-[0-9a-f]+ .(.).s [0-9a-f]+ (\S+) (\d+)/gm

function linkOf(pid: number, fd: number): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`)
  } catch {
    return ''
  }
}

/** The kernel orders what it compares. 0 for the same. */
function order(seen: SeenDescription, pid: number, fd: number): number {
  const result = native.kcmp(seen.process.pid, pid, KCMP_FILE, seen.fd, fd)
  return result === 0 ? 0 : result === LESS ? -1 : 1
}

/** By binary search, as all descriptions of a kind look alike. @param sorted by `order` */
function find(sorted: readonly SeenDescription[], pid: number, fd: number): SeenDescription | undefined {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const seen = sorted[middle]
    if (seen === undefined) return undefined
    const result = order(seen, pid, fd)
    if (result === 0) return seen
    if (result < 0) low = middle + 1
    else high = middle
  }
  return undefined
}

function refused({ process: { pid, name }, what }: Shared, outside: number): UnsupportedError {
  return new UnsupportedError(
    'THAW_SHARED_OUTSIDE',
    `Cannot checkpoint pid ${pid} (${name}): ${what} in pid ${outside}${nameOf(outside)} outside the tree, too, which a copy would not share. Checkpoint a tree that both are in, or have one of them let go of it.`,
    { pid },
  )
}

function nameOf(pid: number): string {
  try {
    return ` (${field(readStatus(pid), 'Name')})`
  } catch {
    return ''
  }
}
