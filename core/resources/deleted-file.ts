/**
 * Files that are open but have no name any more (unlink(2), O_TMPFILE), or never had one (memfd_create(2)). Each instance gets one of its own, with the same content, again
 * without a name. All descriptions of one such file share it.
 */
import { closeSync, statSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { Cell } from '../program/bundle.js'
import type { Emitter, SeenDescription, SeenTree } from './description.js'
import { closeDescriptor } from './emission.js'
import { collectMemfd, emitMemfd, emitSeals, isMemfd } from './memfd.js'
import type { Memfd } from './memfd.js'
import { emitNamelessFile } from './nameless-file.js'
import { O_RDONLY } from './open-flags.js'

export interface DeletedFile {
  device: bigint
  inode: bigint
  mode: number
  uid: number
  gid: number
  sizeBytes: bigint
  /** Nanoseconds since 1970. */
  accessed: bigint
  modified: bigint
  /** Parts that are not holes. Kept once per file, with the first of its descriptions. */
  extents: FileExtent[]
  memfd: Memfd | null
}

export interface FileExtent {
  offset: bigint
  sizeBytes: bigint
  /** Where it stands in the page file. */
  keptAt: bigint
}

const SEEK_SET = 0
const SEEK_DATA = 3
const SEEK_HOLE = 4
/** What one sendfile carries at most is just below 2 GiB. */
const EXTENT_BYTES = 1n << 30n

/** Reads content only from a tree that stands still. */
export function collectDeleted(seen: SeenDescription, tree: SeenTree): DeletedFile {
  const { device, inode, mode, uid, gid, sizeBytes } = seen.status
  const path = `/proc/${seen.process.pid}/fd/${seen.fd}`
  const memfd = isMemfd(seen) ? collectMemfd(seen) : null
  const { atimeNs: accessed, mtimeNs: modified } = statSync(path, { bigint: true })
  const first = tree.descriptions.find(({ status }) => status.device === device && status.inode === inode)
  const extents = tree.frozen && first === seen ? keepExtents(path, tree) : []
  return { device, inode, mode, uid, gid, sizeBytes, accessed, modified, extents, memfd }
}

function keepExtents(source: string, tree: SeenTree): FileExtent[] {
  const extents: FileExtent[] = []
  const fd = native.open(source, O_RDONLY)
  try {
    for (let at = seek(fd, 0n, SEEK_DATA); at !== undefined; at = seek(fd, at, SEEK_DATA)) {
      const end = seek(fd, at, SEEK_HOLE) ?? at
      while (at < end) {
        const extent: FileExtent = { offset: at, sizeBytes: end - at < EXTENT_BYTES ? end - at : EXTENT_BYTES, keptAt: 0n }
        tree.keepContent({ source, ...extent, kept: (place) => (extent.keptAt = place) })
        extents.push(extent)
        at += extent.sizeBytes
      }
    }
  } finally {
    closeSync(fd)
  }
  return extents
}

/** Undefined past the last data. */
function seek(fd: number, from: bigint, whence: number): bigint | undefined {
  try {
    return native.syscall('lseek', [fd, from, whence])
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENXIO') return undefined
    throw error
  }
}

/** The nameless file of an instance while its descriptions are opened. */
export interface DeletedFileMaker {
  /** Open for reading and writing. A description with just these flags may take it. */
  readonly fd: Cell
  taken: boolean
  finished: boolean
}

export function makeDeleted(file: DeletedFile, path: string, isTmpfile: boolean, emitter: Emitter): DeletedFileMaker {
  return emitter.shared('deleted-file', `${file.device}:${file.inode}`, () => {
    const { program } = emitter
    const { memfd } = file
    const fd = emitter.raise(memfd === null ? emitNamelessFile(program, path, isTmpfile) : emitMemfd(program, memfd, file.mode))
    for (const { offset, sizeBytes, keptAt } of file.extents) {
      program.call('lseek', [fd, offset, SEEK_SET])
      program.call('sendfile', [fd, emitter.pageFile, program.bundle.words(keptAt), sizeBytes], { equal: sizeBytes })
    }
    program.call('lseek', [fd, 0, SEEK_SET])
    program.call('ftruncate', [fd, file.sizeBytes])
    program.call('fchown', [fd, file.uid, file.gid])
    program.call('fchmod', [fd, file.mode & 0o7777])
    program.call('utimensat', [fd, 0, program.bundle.words(...timespec(file.accessed), ...timespec(file.modified)), 0])
    return { fd, taken: false, finished: false }
  })
}

/** Once all descriptions are open: the file gets its seals, and the one that was used to make it is not needed any more. */
export function finishDeleted({ memfd }: DeletedFile, maker: DeletedFileMaker, { program }: Emitter): void {
  if (maker.finished) return
  maker.finished = true
  if (memfd !== null) emitSeals(program, maker.fd, memfd)
  if (!maker.taken) closeDescriptor(program, maker.fd)
}

const timespec = (ns: bigint): [bigint, bigint] => [ns / 1_000_000_000n, ns % 1_000_000_000n]
