/**
 * Files that are open but have no name any more (unlink(2), O_TMPFILE), or never had one (memfd_create(2)). Each instance gets one of its
 * own, with the same content, again without a name. All descriptions and shared mappings of one such file share it.
 */
import { closeSync, statSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { FileStatus } from '../../native/index.js'
import type { Cell } from '../program/bundle.js'
import { extentsOf } from './file-extents.js'
import type { Emitter, SeenDescription, SeenTree } from './description.js'
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
/** What one sendfile carries at most is just below 2 GiB. */
const EXTENT_BYTES = 1n << 30n

export function collectDeleted(seen: SeenDescription, tree: SeenTree): DeletedFile {
  const file = readDeleted(`/proc/${seen.process.pid}/fd/${seen.fd}`, seen.status, tree, firstOf(seen.status, tree) === seen)
  return isMemfd(seen) ? { ...file, memfd: collectMemfd(seen) } : file
}

/** The description whose model has the content of a file. */
export function firstOf({ device, inode }: Pick<FileStatus, 'device' | 'inode'>, tree: SeenTree): SeenDescription | undefined {
  return tree.descriptions.find(({ status }) => status.device === device && status.inode === inode)
}

/**
 * Reads content only from a tree that stands still.
 *
 * @param path in /proc, which leads to the file
 * @param isFirst nobody else keeps its content
 */
export function readDeleted(path: string, status: FileStatus, tree: SeenTree, isFirst: boolean): DeletedFile {
  const { device, inode, mode, uid, gid, sizeBytes } = status
  const { atimeNs: accessed, mtimeNs: modified } = statSync(path, { bigint: true })
  const extents = tree.frozen && isFirst ? keepExtents(path, sizeBytes, tree) : []
  return { device, inode, mode, uid, gid, sizeBytes, accessed, modified, extents, memfd: null }
}

function keepExtents(source: string, fileBytes: bigint, tree: SeenTree): FileExtent[] {
  const extents: FileExtent[] = []
  const fd = native.open(source, O_RDONLY)
  try {
    for (const { offset, sizeBytes } of extentsOf(fd, 0n, fileBytes))
      for (let at = offset, end = offset + sizeBytes; at < end; at += EXTENT_BYTES) {
        const extent: FileExtent = { offset: at, sizeBytes: end - at < EXTENT_BYTES ? end - at : EXTENT_BYTES, keptAt: 0n }
        tree.keepContent({ source, ...extent, kept: (place) => (extent.keptAt = place) })
        extents.push(extent)
      }
  } finally {
    closeSync(fd)
  }
  return extents
}

/** The nameless file of an instance while its descriptions are opened. */
export interface DeletedFileMaker {
  /** Open for reading and writing. A description with just these flags may take it. */
  readonly fd: Cell
  taken: boolean
  sealed: boolean
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
    return { fd, taken: false, sealed: false }
  })
}

/** Has it sealed when all that it is mapped by is there: what seals forbid may have been done before. */
export function sealDeleted({ memfd }: DeletedFile, maker: DeletedFileMaker, emitter: Emitter): void {
  if (memfd !== null && !maker.sealed) toSeal(emitter).push({ memfd, fd: maker.fd })
  maker.sealed = true
}

interface Unsealed {
  readonly memfd: Memfd
  readonly fd: Cell
}

const toSeal = (emitter: Emitter): Unsealed[] => emitter.shared('unsealed', 'memfds', () => [])

/** In the first process, when the others have all of their memory. */
export function emitAllSeals(emitter: Emitter): void {
  for (const { memfd, fd } of toSeal(emitter)) emitSeals(emitter.program, fd, memfd)
}

const timespec = (ns: bigint): [bigint, bigint] => [ns / 1_000_000_000n, ns % 1_000_000_000n]
