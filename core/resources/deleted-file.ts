/**
 * Files that are open but have no name any more (unlink(2), O_TMPFILE), or never had one (memfd_create(2)). Each instance gets one of its
 * own, with the same content, again without a name. All descriptions and shared mappings of one such file share it.
 */
import { statSync } from 'node:fs'
import type { FileStatus } from '../../native/index.js'
import type { Cell } from '../program/bundle.js'
import type { Emitter, SeenDescription, SeenTree } from './description.js'
import { emitContent, keepExtents, timesOf } from './kept-file.js'
import type { KeptFile } from './kept-file.js'
import { collectMemfd, emitMemfd, emitSeals, isMemfd } from './memfd.js'
import type { Memfd } from './memfd.js'
import { emitNamelessFile } from './nameless-file.js'

/** Its content is kept once, with the first of its descriptions. */
export interface DeletedFile extends KeptFile {
  device: bigint
  inode: bigint
  memfd: Memfd | null
}

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
    emitContent(emitter, fd, file)
    program.call('fchown', [fd, file.uid, file.gid])
    program.call('fchmod', [fd, file.mode & 0o7777])
    program.call('utimensat', [fd, 0, program.bundle.words(...timesOf(file)), 0])
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
