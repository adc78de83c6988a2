/** Contents of files that only the tree has any more: kept in the page file, behind the pages. */
import { closeSync } from 'node:fs'
import { native } from '../../native/index.js'
import { O_CLOEXEC, O_RDONLY } from './open-flags.js'

export interface KeptContent {
  /** A path that the dumper can open as long as the tree stands still. */
  readonly source: string
  readonly offset: bigint
  readonly sizeBytes: bigint
  /** Called with the place in the page file. */
  kept(at: bigint): void
}

/** Copies everything to the page file from `end` on; returns the new end. */
export function keepContents(contents: readonly KeptContent[], pageFd: number, end: bigint): bigint {
  for (const { source, offset, sizeBytes, kept } of contents) {
    const fd = native.open(source, O_RDONLY | O_CLOEXEC)
    try {
      native.copyRange(fd, offset, pageFd, end, sizeBytes)
    } finally {
      closeSync(fd)
    }
    kept(end)
    end += sizeBytes
  }
  return end
}
