/** Which pages hold something of the process's own. */
import { native } from '../../native/index.js'
import type { PagemapQuery, SystemError } from '../../native/index.js'
import type { Mapping, PageRange } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import type { Support } from '../resources/support.js'

export const support: Support = { topic: 'memory', carried: 'guards' }

export const PAGE_BYTES = 4096n
const PAGE_IS_FILE = 1n << 2n
const PAGE_IS_PRESENT = 1n << 3n
const PAGE_IS_SWAPPED = 1n << 4n
const PAGE_IS_PFNZERO = 1n << 5n
/** Since Linux 6.14; a guard region looks like a swapped page. */
const PAGE_IS_GUARD = 1n << 8n
/** Entries of one writev (UIO_MAXIOV), and what one call transfers at most (MAX_RW_COUNT), rounded down. */
const MOST_VECTORS = 1024
const MOST_BYTES = 1n << 30n

const TOUCHED = PAGE_IS_PRESENT | PAGE_IS_SWAPPED
const TOLD = PAGE_IS_FILE | PAGE_IS_PFNZERO | TOUCHED

export interface PageScan {
  readonly pages: PageRange[]
  readonly guards: PageRange[]
  /** In the page file. */
  readonly end: bigint
}

/** Whether a fork sees the mapping empty, guards and all. */
export const isWiped = ({ flags }: Mapping): boolean => flags.includes('wf') || flags.includes('dp')

/** Ranges to keep of all mappings, with their places in the page file, from `offset` on. @param pagemapFd /proc/PID/pagemap */
export function scanPages(pagemapFd: number, mappings: readonly Mapping[], offset = 0n): PageScan {
  const pages: PageRange[] = []
  const guards: PageRange[] = []
  const runs = new Runs(pagemapFd, mappings)
  for (const mapping of mappings) {
    // What is shared is carried once for all. Contents that a fork wipes are never carried: each process is to see its own (KSM secrets, vgetrandom state).
    const isPrivate = mapping.kind === MappingKind.anonymous || mapping.kind === MappingKind.filePrivate
    const isCarried = isPrivate && !isWiped(mapping)
    const unchanged = mapping.kind === MappingKind.filePrivate ? PAGE_IS_FILE : 0n
    for (const { start, end, categories } of runs.within(mapping)) {
      if ((categories & PAGE_IS_GUARD) !== 0n) append(guards, mapping, start, end)
      else if (isCarried && (categories & (PAGE_IS_PFNZERO | unchanged)) === 0n) append(pages, mapping, start, end)
    }
  }
  let at = offset
  for (const range of pages) {
    range.fileOffset = at
    at += range.pageCount * PAGE_BYTES
  }
  return { pages, guards, end: at }
}

/** A range never reaches over the end of its mapping: mappings are made and filled one by one. */
function append(ranges: PageRange[], mapping: Mapping, start: bigint, end: bigint): void {
  const last = ranges.at(-1)
  const pageCount = (end - start) / PAGE_BYTES
  if (last !== undefined && last.start >= mapping.start && last.start + last.pageCount * PAGE_BYTES === start) last.pageCount += pageCount
  else ranges.push({ start, pageCount, fileOffset: 0n })
}

interface Run {
  readonly start: bigint
  readonly end: bigint
  readonly categories: bigint
}

/** All touched pages of an address space by one walk over its page tables, handed out mapping by mapping, in the order of addresses. */
class Runs {
  readonly #triples: BigUint64Array
  #next = 0

  constructor(pagemapFd: number, mappings: readonly Mapping[]) {
    const start = mappings[0]?.start ?? 0n
    const end = mappings.at(-1)?.end ?? 0n
    this.#triples = scan(pagemapFd, start, end)
  }

  *within(mapping: Mapping): Generator<Run> {
    for (; this.#next + 2 < this.#triples.length; this.#next += 3) {
      const [start = 0n, end = 0n, categories = 0n] = this.#triples.subarray(this.#next, this.#next + 3)
      if (start >= mapping.end) return
      if (end > mapping.start)
        yield { start: start > mapping.start ? start : mapping.start, end: end < mapping.end ? end : mapping.end, categories }
      // It goes on in the next mapping.
      if (end > mapping.end) return
    }
  }
}

function scan(pagemapFd: number, start: bigint, end: bigint): BigUint64Array {
  const query = (returned: bigint): PagemapQuery => ({ inverted: 0n, required: 0n, anyOf: TOUCHED, returned })
  try {
    return native.scanPagemap(pagemapFd, start, end, query(TOLD | PAGE_IS_GUARD))
  } catch (error) {
    if ((error as SystemError).code !== 'EINVAL') throw error
    return native.scanPagemap(pagemapFd, start, end, query(TOLD))
  }
}

/** Whether there are guards between two addresses. @param pagemapFd /proc/PID/pagemap */
export function hasGuards(pagemapFd: number, start: bigint, end: bigint): boolean {
  return scan(pagemapFd, start, end).some((categories, i) => i % 3 === 2 && (categories & PAGE_IS_GUARD) !== 0n)
}

interface Piece {
  readonly start: bigint
  readonly lengthBytes: bigint
  readonly fileOffset: bigint
}

/** Pieces that stand one after the other in the file, as many as one call takes. */
export function* batches(pages: readonly PageRange[]): Generator<Piece[]> {
  let batch: Piece[] = []
  let size = 0n
  for (const piece of pages.flatMap(cut)) {
    const next = (batch[0]?.fileOffset ?? piece.fileOffset) + size
    if (batch.length > 0 && (batch.length === MOST_VECTORS || size + piece.lengthBytes > MOST_BYTES || next !== piece.fileOffset)) {
      yield batch
      batch = []
      size = 0n
    }
    batch.push(piece)
    size += piece.lengthBytes
  }
  if (batch.length > 0) yield batch
}

function cut({ start, pageCount, fileOffset }: PageRange): Piece[] {
  const pieces: Piece[] = []
  const total = pageCount * PAGE_BYTES
  for (let at = 0n; at < total; at += MOST_BYTES)
    pieces.push({ start: start + at, lengthBytes: total - at < MOST_BYTES ? total - at : MOST_BYTES, fileOffset: fileOffset + at })
  return pieces
}
