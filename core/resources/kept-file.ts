/** Files whose content an image has: each instance makes them anew. */
import { closeSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { Cell } from '../program/bundle.js'
import type { Emitter, SeenTree } from './description.js'
import { extentsOf } from './file-extents.js'
import { emitKept } from './kept-content.js'
import { O_RDONLY } from './open-flags.js'

export interface KeptFile {
  mode: number
  uid: number
  gid: number
  sizeBytes: bigint
  /** Nanoseconds since 1970. */
  accessed: bigint
  modified: bigint
  /** Parts that are not holes. */
  extents: FileExtent[]
}

export interface FileExtent {
  offset: bigint
  sizeBytes: bigint
  /** Where it stands in the page file. */
  keptAt: bigint
}

const SEEK_SET = 0

/** Of a tree that stands still. @param source a path that leads to the file as long as it does */
export function keepExtents(source: string, fileBytes: bigint, tree: SeenTree): FileExtent[] {
  const extents: FileExtent[] = []
  const fd = native.open(source, O_RDONLY)
  try {
    for (const { offset, sizeBytes } of extentsOf(fd, 0n, fileBytes)) {
      const extent: FileExtent = { offset, sizeBytes, keptAt: 0n }
      tree.keepContent({ source, ...extent, kept: (place) => (extent.keptAt = place) })
      extents.push(extent)
    }
  } finally {
    closeSync(fd)
  }
  return extents
}

/** Its parts lie within it, and their content in the page file. */
export function verifyExtents(
  { sizeBytes, extents }: Pick<KeptFile, 'sizeBytes' | 'extents'>,
  pageBytes: bigint,
  require: (fits: boolean, otherwise: string) => void,
): void {
  require(sizeBytes >= 0n, 'has less than no content')
  for (const { offset, sizeBytes: length, keptAt } of extents) {
    require(length > 0n && offset >= 0n && offset + length <= sizeBytes, 'has content behind its end')
    require(keptAt >= 0n && keptAt + length <= pageBytes, 'has content behind the end of the page file')
  }
}

/** Fills a file that was just made. */
export function emitContent({ program, pageFile }: Emitter, fd: Cell, { extents, sizeBytes: fileBytes }: KeptFile): void {
  for (const { offset, sizeBytes, keptAt } of extents) {
    program.call('lseek', [fd, offset, SEEK_SET])
    emitKept(program, fd, pageFile, keptAt, sizeBytes)
  }
  program.call('lseek', [fd, 0, SEEK_SET])
  program.call('ftruncate', [fd, fileBytes])
}

/** Two of struct timespec, for utimensat(2). */
export const timesOf = ({ accessed, modified }: Pick<KeptFile, 'accessed' | 'modified'>): bigint[] =>
  [accessed, modified].flatMap((ns) => [ns / 1_000_000_000n, ns % 1_000_000_000n])
