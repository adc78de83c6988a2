/**
 * Pages that a process has from its parent and has not written to since: a fork shares them (copy-on-write), and the page file has them once.
 * Each process is copied whole while the tree stands still; what is the same is found, and the file made smaller, when the tree runs on.
 */
import { readSync, writeSync } from 'node:fs'
import type { FileIdentity, ImageModel, PageRange } from '../image/model.js'
import type { PlacedContent } from '../resources/kept-content.js'
import { PAGE_BYTES } from './pages.js'

const CHUNK_PAGES = 256n

/** How many of its elder siblings a process is compared with: what forks of one parent do first is the same in all of them. */
const SIBLINGS = 3

/** Returns the size of the page file, and tells everything that has a place in it. */
export function shareInherited(model: ImageModel, contents: readonly PlacedContent[], pageFd: number, pageBytes: bigint): bigint {
  const spare: Spare[] = []
  model.processes.forEach((process, i) => {
    const parent = model.processes.find(({ pid }) => pid === process.parentPid)
    if (parent === undefined) return
    const siblings = model.processes.slice(0, i).filter(({ parentPid }) => parentPid === process.parentPid)
    let pieces: Piece[] = process.memory.pages.map((range) => ({ ...range, own: true, first: true }))
    for (const other of [parent, ...siblings.slice(-SIBLINGS).toReversed()]) pieces = shareWith(pieces, other.memory.pages, pageFd, spare)
    process.memory.pages = pieces.map(({ start, pageCount, fileOffset }) => ({ start, pageCount, fileOffset }))
  })
  for (const memory of model.sharedMemory) memory.pages = withoutZeros(memory.pages, pageFd, spare)
  if (spare.length === 0) return pageBytes
  const moves = new Moves(spare, pageBytes)
  for (const range of rangesOf(model)) range.fileOffset = moves.to(range.fileOffset)
  for (const file of deletedFiles(model)) file.contentOffset = moves.to(file.contentOffset)
  for (const { at, content } of contents) content.kept(moves.to(at))
  moves.perform(pageFd)
  return moves.end
}

/** A part of the page file that nobody needs any more. */
interface Spare {
  readonly start: bigint
  end: bigint
}

interface Piece extends PageRange {
  /** It stands where the process's own pages were copied to. */
  own: boolean
  /** Ranges stay apart where they were: none reaches over the end of its mapping. */
  first: boolean
}

/** The pages of a process, cut where they are the same as another's at the same addresses. */
function shareWith(pieces: readonly Piece[], theirs: readonly PageRange[], pageFd: number, spare: Spare[]): Piece[] {
  const shared: Piece[] = []
  const add = (piece: Piece): void => {
    const last = shared.at(-1)
    const length = (last?.pageCount ?? 0n) * PAGE_BYTES
    const follows = last?.own === piece.own && last.start + length === piece.start && last.fileOffset + length === piece.fileOffset
    if (follows && !piece.first) last.pageCount += piece.pageCount
    else shared.push(piece)
  }
  let next = 0
  for (const piece of pieces) {
    const end = endOf(piece)
    const take = (start: bigint, pageCount: bigint, fileOffset: bigint, own: boolean): bigint => {
      if (pageCount > 0n) add({ start, pageCount, fileOffset, own, first: piece.first && start === piece.start })
      return start + pageCount * PAGE_BYTES
    }
    const place = piece.fileOffset - piece.start
    let at = piece.start
    while (piece.own && at < end) {
      while (next < theirs.length && endOf(theirs[next]) <= at) next++
      const other = theirs[next]
      if (other === undefined || other.start >= end) break
      if (other.start > at) at = take(at, (other.start - at) / PAGE_BYTES, place + at, true)
      const there = other.fileOffset - other.start
      for (const { same, pages } of runs(pageFd, place + at, there + at, (min(end, endOf(other)) - at) / PAGE_BYTES)) {
        if (same) discard(spare, place + at, pages)
        at = take(at, pages, (same ? there : place) + at, !same)
      }
    }
    take(at, (end - at) / PAGE_BYTES, place + at, piece.own)
  }
  return shared
}

/** Memory that nobody has written to reads as zero. */
function withoutZeros(ranges: readonly PageRange[], pageFd: number, spare: Spare[]): PageRange[] {
  return ranges.flatMap(({ start, pageCount, fileOffset }) => {
    const kept: PageRange[] = []
    let done = 0n
    for (const { same, pages } of runs(pageFd, fileOffset, undefined, pageCount)) {
      const at = done * PAGE_BYTES
      if (same) discard(spare, fileOffset + at, pages)
      else kept.push({ start: start + at, pageCount: pages, fileOffset: fileOffset + at })
      done += pages
    }
    return kept
  })
}

const endOf = (range: PageRange | undefined): bigint => (range === undefined ? 0n : range.start + range.pageCount * PAGE_BYTES)

/** Compares two parts of the page file, or one with zeros: runs of pages that are the same, or not. */
function* runs(pageFd: number, one: bigint, other: bigint | undefined, pageCount: bigint): Generator<{ same: boolean; pages: bigint }> {
  const page = Number(PAGE_BYTES)
  let run: { same: boolean; pages: bigint } | undefined
  for (let done = 0n; done < pageCount; done += CHUNK_PAGES) {
    const pages = Number(min(CHUNK_PAGES, pageCount - done))
    const left = readPart(pageFd, one + done * PAGE_BYTES, pages * page, buffers.left)
    const right = other === undefined ? ZEROS : readPart(pageFd, other + done * PAGE_BYTES, pages * page, buffers.right)
    for (let i = 0; i < pages; i++) {
      const same = left.compare(right, i * page, (i + 1) * page, i * page, (i + 1) * page) === 0
      if (run?.same === same) run.pages++
      else {
        if (run !== undefined) yield run
        run = { same, pages: 1n }
      }
    }
  }
  if (run !== undefined) yield run
}

const chunk = (): Buffer => Buffer.alloc(Number(CHUNK_PAGES * PAGE_BYTES))
const buffers = { left: chunk(), right: chunk() }
const ZEROS = chunk()

/** The file is memory: a read comes whole. */
function readPart(pageFd: number, at: bigint, length: number, buffer: Buffer): Buffer {
  if (readSync(pageFd, buffer, 0, length, at) !== length) throw new Error(`the page file ends before ${at + BigInt(length)}`)
  return buffer
}

function discard(spare: Spare[], start: bigint, pageCount: bigint): void {
  const last = spare.at(-1)
  const end = start + pageCount * PAGE_BYTES
  if (last?.end === start) last.end = end
  else spare.push({ start, end })
}

/** All ranges, those of processes and of what they share. */
function* rangesOf({ processes, sharedMemory }: ImageModel): Generator<PageRange> {
  for (const { memory } of processes) yield* memory.pages
  for (const { pages } of sharedMemory) yield* pages
}

/** Those whose bytes stand in the page file as a whole. */
const deletedFiles = ({ processes }: ImageModel): Set<FileIdentity> =>
  new Set(
    processes.flatMap(({ memory }) =>
      memory.mappings.flatMap(({ file }) => (file?.deleted === true && file.content === null ? [file] : [])),
    ),
  )

/** Where everything goes when the spare parts are taken out. */
class Moves {
  /** What stays, in the order of the file; `less` is how far it moves. */
  readonly #parts: { readonly start: bigint; readonly end: bigint; readonly less: bigint }[] = []
  readonly end: bigint

  constructor(spare: Spare[], pageBytes: bigint) {
    let [at, less] = [0n, 0n]
    for (const { start, end } of [...spare.toSorted((a, b) => (a.start < b.start ? -1 : 1)), { start: pageBytes, end: pageBytes }]) {
      if (start > at) this.#parts.push({ start: at, end: start, less })
      less += end - start
      at = end
    }
    this.end = pageBytes - less
  }

  to(offset: bigint): bigint {
    let [low, high] = [0, this.#parts.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#parts[middle]?.end ?? 0n) > offset) high = middle
      else low = middle + 1
    }
    const part = this.#parts[low]
    // What has no bytes may stand anywhere.
    if (part === undefined) return this.end
    return (offset > part.start ? offset : part.start) - part.less
  }

  /** From the front: a part only ever moves to where something has left. */
  perform(pageFd: number): void {
    for (const { start, end, less } of this.#parts) {
      if (less === 0n) continue
      for (let at = start; at < end; at += CHUNK_PAGES * PAGE_BYTES) {
        const length = Number(min(CHUNK_PAGES * PAGE_BYTES, end - at))
        const bytes = readPart(pageFd, at, length, buffers.left)
        if (writeSync(pageFd, bytes, 0, length, Number(at - less)) !== length) throw new Error('the page file cannot be written to')
      }
    }
  }
}

const min = (a: bigint, b: bigint): bigint => (a < b ? a : b)
