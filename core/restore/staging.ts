/**
 * Mappings too small for a huge page of their own, but full: V8's heap is made of pieces of 256 KiB. A fork would copy them page by page, at
 * a fifth of a microsecond each. So they are loaded side by side in a staging area, the area is collapsed into huge pages, and each
 * mapping is moved from there to its place. A huge page that is mapped in pieces stays one folio, whose pages a fork copies in one go
 * (since Linux 6.9; before, it is merely no gain).
 */
import { PAGE_BYTES } from '../checkpoint/pages.js'
import { findHole } from '../checkpoint/space.js'
import type { AddressRange } from '../checkpoint/space.js'
import type { Mapping, MemoryModel, PageRange } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import type { Program } from '../program/program.js'
import { emitName, mmapFlags, pagesOf } from './mapping-program.js'

const HUGE_BYTES = 2n << 20n
/** What is larger has its own huge pages in the middle (huge.ts). */
const MOST_BYTES = 2n * HUGE_BYTES
const LEAST_PAGES = 16n
const PROT_READ_WRITE = 3
const MREMAP_MAYMOVE_FIXED = 3
const MADV_DONTNEED = 4
const MADV_COLLAPSE = 25
/** Of mappings that must stay what they are, from the mmap on. */
const SPECIAL_FLAGS = ['gd', 'dp', 'wf', 'nh', 'io', 'ht', 'gu']

/** One staging area. A move takes along how memory is accounted for, so mappings with and without MAP_NORESERVE have one each. */
export class Staging {
  readonly #area: AddressRange
  readonly #places: ReadonlyMap<Mapping, bigint>

  private constructor(area: AddressRange, places: ReadonlyMap<Mapping, bigint>) {
    this.#area = area
    this.#places = places
  }

  /** @param taken what else stands in the template @param which mappings are loaded at all */
  static plan(memory: MemoryModel, taken: readonly AddressRange[], which: (mapping: Mapping) => boolean = () => true): Staging[] {
    const areas: Staging[] = []
    for (const reserved of [true, false]) {
      const mappings = memory.mappings.filter(
        (mapping) => !mapping.flags.includes('nr') === reserved && which(mapping) && isWorthIt(mapping, memory),
      )
      const area = areaFor(mappings, [...memory.mappings, ...taken, ...areas.map((other) => other.#area)])
      let at = area.start
      const places = new Map<Mapping, bigint>()
      for (const mapping of mappings) {
        places.set(mapping, at)
        at += mapping.end - mapping.start
      }
      if (mappings.length > 0) areas.push(new Staging(area, places))
    }
    return areas
  }

  has(mapping: Mapping): boolean {
    return this.#places.has(mapping)
  }

  /** Where pages are loaded to. */
  staged(range: PageRange): PageRange {
    for (const [{ start, end }, at] of this.#places)
      if (start <= range.start && range.start < end) return { ...range, start: range.start - start + at }
    return range
  }

  emitArea(program: Program): void {
    const [mapping] = this.#places.keys()
    const { start, end } = this.#area
    if (mapping !== undefined) program.call('mmap', [start, end - start, PROT_READ_WRITE, mmapFlags(mapping), -1, 0], { equal: start })
  }

  /** Once everything is loaded. */
  emitMoves(program: Program, { pages }: MemoryModel): void {
    const { start, end } = this.#area
    program.call('madvise', [start, end - start, MADV_COLLAPSE], 'any')
    for (const [mapping, at] of this.#places) {
      const length = mapping.end - mapping.start
      program.call('mremap', [at, length, length, MREMAP_MAYMOVE_FIXED, mapping.start], { equal: mapping.start })
      emitName(program, mapping)
      if (mapping.protection !== PROT_READ_WRITE) program.call('mprotect', [mapping.start, length, mapping.protection])
      for (const hole of holesIn(mapping, pagesOf(pages, [mapping])))
        program.call('madvise', [hole.start, hole.end - hole.start, MADV_DONTNEED])
    }
    program.call('munmap', [start, end - start])
  }
}

function isWorthIt(mapping: Mapping, { pages, layout }: MemoryModel): boolean {
  const { kind, start, end, flags, protection } = mapping
  const isHeap = start <= layout.brk && layout.startBrk < end
  if (kind !== MappingKind.anonymous || (protection & PROT_READ_WRITE) !== PROT_READ_WRITE || isHeap) return false
  if (end - start >= MOST_BYTES || SPECIAL_FLAGS.some((flag) => flags.includes(flag))) return false
  const present = pagesOf(pages, [mapping]).reduce((sum, { pageCount }) => sum + pageCount, 0n)
  return present >= LEAST_PAGES && present * 2n * PAGE_BYTES >= end - start
}

function areaFor(mappings: readonly Mapping[], taken: readonly AddressRange[]): AddressRange {
  const total = mappings.reduce((sum, { start, end }) => sum + end - start, 0n)
  const size = (total + HUGE_BYTES - 1n) & ~(HUGE_BYTES - 1n)
  const start = findHole(taken, size)
  return { start, end: start + size }
}

/** Pages that were not there; a huge page has zeros for them, which the tree never touched. */
function* holesIn({ start, end }: Mapping, pages: readonly PageRange[]): Generator<AddressRange> {
  let at = start
  for (const range of pages.toSorted((a, b) => (a.start < b.start ? -1 : 1))) {
    if (at < range.start) yield { start: at, end: range.start }
    at = range.start + range.pageCount * PAGE_BYTES
  }
  if (at < end) yield { start: at, end }
}
