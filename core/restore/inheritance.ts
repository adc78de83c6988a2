/**
 * Memory that a process has from the one that forks it: mapped alike and with the same contents (the page file has what is inherited once,
 * core/checkpoint/inherited-pages.ts). It is loaded once and comes by the fork itself. What is not inherited is loaded for each process and
 * kept out of the way until then (stow.ts), which costs a fork, a move and an unmapping for each mapping.
 */
import { isDeepStrictEqual } from 'node:util'
import { isWiped, PAGE_BYTES } from '../checkpoint/pages.js'
import type { Mapping, MemoryModel, PageRange, ProcessModel } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import { forkedBy } from './family.js'
import type { Family, Member } from './family.js'
import { pagesOf } from './mapping-program.js'

/** Of mappings that a fork does not hand down as they are, that may grow, or that cannot be unmapped again. */
const SPECIAL_FLAGS = ['gd', 'dp', 'io', 'sl']

interface Heir {
  readonly forker: ProcessModel
  readonly inherited: ReadonlySet<Mapping>
}

export class Inheritance {
  readonly #first: ProcessModel
  readonly #heirs = new Map<ProcessModel, Heir>()
  readonly #handedDown = new Map<ProcessModel, Set<Mapping>>()

  constructor({ first }: Family) {
    if (first.process === undefined) throw new Error('a family without a first process')
    this.#first = first.process
    this.#addForked(first, first.process)
  }

  /** @param forker whose memory all have that it forks: a zombie has that of whoever has forked it */
  #addForked(member: Member, forker: ProcessModel): void {
    for (const forked of forkedBy(member)) {
      if (forked.process !== undefined) this.#add(forker, forked.process)
      this.#addForked(forked, forked.process ?? forker)
    }
  }

  #add(forker: ProcessModel, process: ProcessModel): void {
    const inherited = new Set<Mapping>()
    const handedDown = this.#handedDown.get(forker) ?? new Set()
    const theirs = new Map(forker.memory.mappings.map((mapping) => [mapping.start, mapping]))
    for (const mapping of process.memory.mappings) {
      const other = theirs.get(mapping.start)
      if (other === undefined || !isAlike(mapping, process.memory, other, forker.memory)) continue
      inherited.add(mapping)
      handedDown.add(other)
    }
    this.#heirs.set(process, { forker, inherited })
    this.#handedDown.set(forker, handedDown)
  }

  /** Of its mappings, those that it has by its fork. */
  of(process: ProcessModel): ReadonlySet<Mapping> {
    return this.#heirs.get(process)?.inherited ?? NONE
  }

  /** Of its mappings, those that one that it forks inherits. */
  handedDownBy(process: ProcessModel): ReadonlySet<Mapping> {
    return this.#handedDown.get(process) ?? NONE
  }

  /** Whether its memory is at its place before it forks. */
  isInPlace(process: ProcessModel): boolean {
    return process === this.#first || this.handedDownBy(process).size > 0
  }

  /** What a process finds in its memory that is not its own, but others inherit. */
  strangeTo(process: ProcessModel): readonly Mapping[] {
    const { forker, inherited } = this.#heirs.get(process) ?? {}
    if (forker === undefined || inherited === undefined) return []
    const own = new Set([...inherited].map(({ start }) => start))
    return [...this.handedDownBy(forker)].filter(({ start }) => !own.has(start))
  }

  /** Whose memory is in place where a process is forked: it finds the vDSO where that one has it. */
  inPlaceFor(process: ProcessModel): ProcessModel {
    const forker = this.#heirs.get(process)?.forker ?? this.#first
    return this.isInPlace(forker) ? forker : this.inPlaceFor(forker)
  }
}

const NONE: ReadonlySet<Mapping> = new Set()

function isAlike(mapping: Mapping, memory: MemoryModel, other: Mapping, others: MemoryModel): boolean {
  const { kind, flags } = mapping
  if (kind !== MappingKind.anonymous && kind !== MappingKind.filePrivate) return false
  if (isWiped(mapping) || SPECIAL_FLAGS.some((flag) => flags.includes(flag)) || !isDeepStrictEqual(mapping, other)) return false
  const placesOf = (guards: readonly PageRange[]): PageRange[] => guards.map((range) => ({ ...range, fileOffset: range.start }))
  const contentsOf = ({ pages, guards }: MemoryModel): PageRange[][] =>
    [pages, placesOf(guards)].map((ranges) => joined(pagesOf(ranges, [mapping])))
  return isDeepStrictEqual(contentsOf(memory), contentsOf(others))
}

/** However they are cut: in the order of addresses. */
function joined(ranges: readonly PageRange[]): PageRange[] {
  const all: PageRange[] = []
  for (const range of ranges.toSorted((a, b) => (a.start < b.start ? -1 : 1))) {
    const last = all.at(-1)
    const length = (last?.pageCount ?? 0n) * PAGE_BYTES
    if (last !== undefined && last.start + length === range.start && last.fileOffset + length === range.fileOffset)
      last.pageCount += range.pageCount
    else all.push({ ...range })
  }
  return all
}
