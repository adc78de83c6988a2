/**
 * The memory of processes other than the first that they do not inherit, while it stands in the template: each is loaded at its own addresses, as the first is, then
 * moved out of the way, page tables and all, and moved back by the process itself once it is forked. So every mapping comes out as if it
 * had never been anywhere else.
 */
import type { AddressRange } from '../checkpoint/space.js'
import type { Mapping, MemoryModel } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import type { Program } from '../program/program.js'
import { pagesOf } from './mapping-program.js'

const MREMAP_MAYMOVE_FIXED = 3
const MADV_DONTFORK = 10
const MADV_DOFORK = 11
/** A huge page moves in one piece where both places are at the same distance from its boundary. */
const HUGE_BYTES = 2n << 20n

export class Stow {
  readonly #places = new Map<Mapping, bigint>()
  readonly range: AddressRange

  /** @param mappings in the order of their addresses @param start where there is room, as much as `range` then says */
  constructor(mappings: readonly Mapping[], start: bigint) {
    let at = start
    let before: Mapping | undefined
    for (const mapping of mappings) {
      // What is adjacent stays adjacent.
      if (before?.end !== mapping.start) at = alignedLike(at, mapping.start)
      this.#places.set(mapping, at)
      at += mapping.end - mapping.start
      before = mapping
    }
    this.range = { start, end: alignedLike(at, 0n) }
  }

  has(mapping: Mapping): boolean {
    return this.#places.has(mapping)
  }

  /**
   * What is loaded at a time. The kernel joins neighbours of one kind as long as it may; that they were apart (one was there before a
   * fork, say) comes of their not having been loaded beside each other.
   */
  get rounds(): readonly (readonly Mapping[])[] {
    const rounds: [Mapping[], Mapping[]] = [[], []]
    let before: Mapping | undefined
    let round: 0 | 1 = 0
    for (const mapping of this.#places.keys()) {
      round = before !== undefined && wouldJoin(before, mapping) ? (round === 0 ? 1 : 0) : 0
      rounds[round].push(mapping)
      before = mapping
    }
    return rounds.filter((mappings) => mappings.length > 0)
  }

  /** In the template, once these are loaded. */
  emitAway(program: Program, mappings: readonly Mapping[]): void {
    for (const mapping of mappings) {
      const { start, end } = mapping
      const at = this.#places.get(mapping)
      if (at === undefined) throw new Error('a mapping that has no place to be stowed')
      program.call('mremap', [start, end - start, end - start, MREMAP_MAYMOVE_FIXED, at], { equal: at })
    }
  }

  /** In the process that it belongs to. */
  emitBack(program: Program): void {
    for (const [{ start, end }, at] of this.#places)
      program.call('mremap', [at, end - start, end - start, MREMAP_MAYMOVE_FIXED, start], { equal: start })
  }

  /** Whether forks copy it: only those do whose child it is for, or for a child of that child. */
  emitForked(program: Program, forked: boolean): void {
    const { start, end } = this.range
    // There are holes in it, which the kernel tells of (ENOMEM) when it is done with the rest.
    if (end > start) program.call('madvise', [start, end - start, forked ? MADV_DOFORK : MADV_DONTFORK], 'any')
  }

  emitRelease(program: Program): void {
    const { start, end } = this.range
    if (end > start) program.call('munmap', [start, end - start])
  }
}

/** Memory without contents, advice and limits is as quickly made as moved, and may be huge: it is not stowed, unless it has to be kept apart. */
export function stowedIn(memory: MemoryModel): Mapping[] {
  const apart = apartIn(memory)
  return memory.mappings.filter((mapping) => {
    if (mapping.kind === MappingKind.filePrivate || apart.has(mapping)) return true
    return mapping.kind === MappingKind.anonymous && pagesOf([...memory.pages, ...memory.guards], [mapping]).length > 0
  })
}

/** Neighbours that the kernel would have joined, had not each had pages of its own before they met, be it that those are gone. */
export function apartIn({ mappings }: MemoryModel): ReadonlySet<Mapping> {
  const apart = new Set<Mapping>()
  mappings.forEach((mapping, i) => {
    const next = mappings[i + 1]
    if (next !== undefined && wouldJoin(mapping, next) && isSame(mapping, next)) apart.add(mapping).add(next)
  })
  return apart
}

const isSame = (a: Mapping, b: Mapping): boolean =>
  a.name === b.name && a.flags.length === b.flags.length && a.flags.every((flag) => b.flags.includes(flag))

const wouldJoin = (a: Mapping, b: Mapping): boolean =>
  a.end === b.start &&
  a.kind === MappingKind.anonymous &&
  b.kind === a.kind &&
  a.protection === b.protection &&
  a.protectionKey === b.protectionKey

function alignedLike(at: bigint, like: bigint): bigint {
  const up = (at + HUGE_BYTES - 1n) & ~(HUGE_BYTES - 1n)
  return up + (like & (HUGE_BYTES - 1n))
}
