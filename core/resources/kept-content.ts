/** Contents of files that only the tree has any more: kept in the page file, behind the pages. */
import { closeSync } from 'node:fs'
import { native } from '../../native/index.js'
import { O_CLOEXEC, O_RDONLY } from './open-flags.js'

export interface KeptContent {
  /** A path that the dumper can open as long as the tree stands still. */
  readonly source: string
  readonly offset: bigint
  readonly sizeBytes: bigint
  /** Called with the place in the page file, and again when that has become another one. */
  kept(at: bigint): void
}

/** Content with its place. */
export interface PlacedContent {
  readonly at: bigint
  readonly content: KeptContent
}

/** Copies everything to the page file from `end` on. */
export function keepContents(contents: readonly KeptContent[], pageFd: number, end: bigint): { placed: PlacedContent[]; end: bigint } {
  const placed: PlacedContent[] = []
  for (const content of contents) {
    const { source, offset, sizeBytes } = content
    const fd = native.open(source, O_RDONLY | O_CLOEXEC)
    try {
      native.copyRange(fd, offset, pageFd, end, sizeBytes)
    } finally {
      closeSync(fd)
    }
    content.kept(end)
    placed.push({ at: end, content })
    end += sizeBytes
  }
  return { placed, end }
}
