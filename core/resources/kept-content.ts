/** Contents of files that only the tree has any more: kept in the page file, behind the pages. */
import { closeSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import { O_CLOEXEC, O_RDONLY } from './open-flags.js'

export interface KeptContent {
  /** A path that the dumper can open as long as the tree stands still. */
  readonly source: string
  /** Set for the memory of a process (/proc/PID/mem), which is read from: nothing else takes bytes out of it. */
  readonly isMemory?: true
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

/** What one sendfile carries at most is just below 2 GiB. */
const MOST_AT_ONCE = 1n << 30n

/** Writes it to a descriptor, from where that stands. @param at its place in the page file */
export function emitKept(program: Program, fd: Cell, pageFile: Cell, at: bigint, sizeBytes: bigint): void {
  for (let done = 0n; done < sizeBytes; done += MOST_AT_ONCE) {
    const length = sizeBytes - done < MOST_AT_ONCE ? sizeBytes - done : MOST_AT_ONCE
    program.call('sendfile', [fd, pageFile, program.bundle.words(at + done), length], { equal: length })
  }
}

/** Copies everything to the page file from `end` on. */
export function keepContents(contents: readonly KeptContent[], pageFd: number, end: bigint): { placed: PlacedContent[]; end: bigint } {
  const placed: PlacedContent[] = []
  for (const content of contents) {
    const { source, offset, sizeBytes } = content
    const fd = native.open(source, O_RDONLY | O_CLOEXEC)
    try {
      if (content.isMemory) copyMemory(fd, offset, pageFd, end, sizeBytes)
      else native.copyRange(fd, offset, pageFd, end, sizeBytes)
    } finally {
      closeSync(fd)
    }
    content.kept(end)
    placed.push({ at: end, content })
    end += sizeBytes
  }
  return { placed, end }
}

const COPY_BYTES = 1n << 20n

function copyMemory(memFd: number, start: bigint, pageFd: number, to: bigint, sizeBytes: bigint): void {
  for (let at = 0n; at < sizeBytes; at += COPY_BYTES) {
    const left = sizeBytes - at
    native.writeAt(pageFd, to + at, native.readAt(memFd, start + at, Number(left < COPY_BYTES ? left : COPY_BYTES)))
  }
}
