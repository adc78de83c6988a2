/**
 * Files without a name that are only mapped any more, shared, for who may not follow map_files: what sem_open(3) leaves where the semaphore
 * loses its name at once (Python's multiprocessing). What they hold is read through the processes that have them mapped.
 */
import { closeSync, readdirSync, statfsSync } from 'node:fs'
import { native } from '../../native/index.js'
import { hasGuards, PAGE_BYTES } from '../checkpoint/pages.js'
import type { MappingLine } from '../proc/maps.js'
import type { DeletedFile } from './deleted-file.js'
import type { SeenProcess, SeenTree } from './description.js'
import { kernelDevice, statDevice } from './file-identity.js'
import { mountsOf } from '../proc/mounts.js'
import { listingTells } from './inotify/likely-paths.js'
import type { FileExtent } from './kept-file.js'
import { memfdName } from './memfd.js'
import { O_CLOEXEC, O_RDONLY, S_IFREG } from './open-flags.js'
import { guarded } from './shared-memory.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'memory',
  conditions: [
    'Of a deleted file that is only mapped any more, an ordinary user carries what is mapped; its other parts, owner and times are lost. It is refused unless it lies in memory (a memfd, a file on tmpfs), and there are at most 10,000 files beside it and 1 GiB of it.',
  ],
}

const TMPFS_MAGIC = 0x0102_1994
const DELETED = ' (deleted)'
const MOST_NAMES = 10_000
/** All of it is read, and what is read of a hole takes memory from then on. */
const MOST_BYTES = 1n << 30n
const UNCHANGED = 0xffff_ffff

interface Shown {
  readonly process: SeenProcess
  readonly line: MappingLine
}

/** Files by device and inode, and the inodes that have names, by device. */
interface Known {
  readonly files: Map<string, DeletedFile>
  readonly named: Map<string, ReadonlySet<bigint> | undefined>
}

const known = new WeakMap<SeenTree, Known>()

/**
 * One for all mappings of the file. Undefined where it may have a name still, or is too large.
 *
 * @param path without ` (deleted)` behind it
 * @throws UnsupportedError THAW_SHARED_GUARD where it cannot be read from end to end
 */
export function readMapped(process: SeenProcess, tree: SeenTree, line: MappingLine, path: string): DeletedFile | undefined {
  const ofTree = known.get(tree) ?? { files: new Map(), named: new Map() }
  known.set(tree, ofTree)
  const key = `${line.device} ${line.inode}`
  const before = ofTree.files.get(key)
  if (before !== undefined) return before
  const name = memfdName(path)
  if (!line.path.endsWith(DELETED) || (name === undefined && !isUnnamed(process, tree, line, ofTree))) return undefined
  const shown = shownBy(tree, line)
  if (shown.reduce((sum, { line: { start, end } }) => sum + end - start, 0n) > MOST_BYTES) return undefined
  for (const one of shown) refuseGuards(one)
  const file = {
    device: statDevice(line.device),
    inode: line.inode,
    mode: S_IFREG | 0o700,
    uid: UNCHANGED,
    gid: UNCHANGED,
    accessed: 0n,
    modified: 0n,
    ...(tree.frozen ? keep(shown, tree) : { sizeBytes: 0n, extents: [] }),
    memfd: name === undefined ? null : { name, seals: 0 },
  }
  ofTree.files.set(key, file)
  return file
}

/** In memory, a file's number is its own. */
const shownBy = (tree: SeenTree, { device, inode }: MappingLine): Shown[] =>
  tree.processes.flatMap((process) =>
    tree
      .mappingsOf(process)
      .filter((line) => line.inode === inode && line.device === device && line.permissions.endsWith('s'))
      .map((line) => ({ process, line })),
  )

/** Only a file system that is gone through whole can tell that no other name is left. */
function isUnnamed(process: SeenProcess, tree: SeenTree, { device, inode }: MappingLine, { named }: Known): boolean {
  if (!named.has(device)) named.set(device, listingTells(tree) ? undefined : namedOn(process, device))
  return named.get(device)?.has(inode) === false
}

/** The inodes that have names on a file system in memory; undefined where not all of them can be seen. */
function namedOn({ pid, rootPath }: SeenProcess, printed: string): Set<bigint> | undefined {
  const mounts = mountsOf(pid)
  const whole = mounts.find(({ device, root }) => device === kernelDevice(printed) && root === '/')
  if (whole === undefined || mounts.some(({ point }) => point.startsWith(`${whole.point}/`))) return undefined
  try {
    const top = rootPath + whole.point
    return statfsSync(top).type === TMPFS_MAGIC && native.statPath(top).device === statDevice(printed) ? inodesBelow(top) : undefined
  } catch {
    // It cannot be looked at, or not all of it.
    return undefined
  }
}

function inodesBelow(top: string): Set<bigint> | undefined {
  const inodes = new Set<bigint>()
  const folders = [top]
  let names = 0
  for (const folder of folders)
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (++names > MOST_NAMES) return undefined
      const path = `${folder}/${entry.name}`
      if (entry.isDirectory()) folders.push(path)
      else inodes.add(native.statPath(path, false).inode)
    }
  return inodes
}

function refuseGuards({ process, line }: Shown): void {
  const pagemapFd = native.open(`/proc/${process.pid}/pagemap`, O_RDONLY | O_CLOEXEC)
  try {
    if (hasGuards(pagemapFd, line.start, line.end)) throw guarded(process, line)
  } finally {
    closeSync(pagemapFd)
  }
}

/** Each byte once, through whichever mapping shows it first. Of whole pages: where in the last one the file ends, nobody can tell who has it only mapped. */
function keep(shown: readonly Shown[], tree: SeenTree): Pick<DeletedFile, 'sizeBytes' | 'extents'> {
  const extents: FileExtent[] = []
  let covered = 0n
  for (const { process, line } of shown.toSorted((a, b) => (a.line.offset < b.line.offset ? -1 : 1))) {
    const from = line.offset > covered ? line.offset : covered
    const end = line.offset + readableBytes(process, line)
    if (from >= end) continue
    const extent = { offset: from, sizeBytes: end - from, keptAt: 0n }
    const memory = { source: `/proc/${process.pid}/mem`, isMemory: true, offset: line.start + from - line.offset } as const
    tree.keepContent({ ...memory, sizeBytes: extent.sizeBytes, kept: (place) => (extent.keptAt = place) })
    extents.push(extent)
    covered = end
  }
  return { sizeBytes: covered, extents }
}

/** Behind the end of its file, a mapping cannot be read (mmap(2), SIGBUS). */
function readableBytes({ pid }: SeenProcess, { start, end }: MappingLine): bigint {
  const memFd = native.open(`/proc/${pid}/mem`, O_RDONLY | O_CLOEXEC)
  try {
    let [low, high] = [0n, (end - start) / PAGE_BYTES]
    if (canRead(memFd, end - PAGE_BYTES)) return end - start
    while (low < high) {
      const middle = (low + high) / 2n
      if (canRead(memFd, start + middle * PAGE_BYTES)) low = middle + 1n
      else high = middle
    }
    return low * PAGE_BYTES
  } finally {
    closeSync(memFd)
  }
}

function canRead(memFd: number, address: bigint): boolean {
  try {
    return native.readAt(memFd, address, 1).length === 1
  } catch {
    return false
  }
}
