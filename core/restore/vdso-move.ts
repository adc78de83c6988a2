/**
 * The vDSO with its data: the one thing in an address space that cannot be mapped anew, only moved (mremap(2)). The template is born with all of
 * its parts, and puts those aside that any process of the tree has. A process moves its own to their places; what it has unmapped itself
 * (valgrind leaves the data only) stays aside until those that it forks have got it.
 */
import type { AddressRange } from '../checkpoint/space.js'
import { RestoreError } from '../errors.js'
import type { ImageModel, Mapping, MemoryModel } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'

/** A mapping that a process of ours is born with. */
export interface VdsoPart {
  /** `[vdso]`, `[vvar]`, `[vvar_vclock]` */
  readonly name: string
  /** From the start of the code, which is behind the data. */
  readonly offset: bigint
  readonly sizeBytes: bigint
}

/** What a process would have to be born with, for all processes of the image to have theirs. */
export function vdsoIn({ processes }: ImageModel): VdsoPart[] {
  const parts = new Map<string, VdsoPart>()
  for (const { memory } of processes) {
    const own = vdsoOf(memory)
    const from = (own.find(({ kind }) => kind === MappingKind.vdso) ?? own[0])?.start ?? 0n
    for (const { name, start, end } of own) if (!parts.has(name)) parts.set(name, { name, offset: start - from, sizeBytes: end - start })
  }
  return [...parts.values()]
}

/** Where the parts are that a process has, by name. */
export type VdsoPlaces = ReadonlyMap<string, AddressRange>

const MREMAP_MAYMOVE_FIXED = 3

export class Vdso {
  readonly #parts: readonly VdsoPart[]
  readonly #aside: VdsoPlaces

  /**
   * @param parts all that a process of ours is born with
   * @param room where they can stand aside
   * @throws RestoreError THAW_VDSO
   */
  constructor({ processes }: ImageModel, parts: readonly VdsoPart[], room: bigint) {
    const needed = processes.flatMap(({ memory }) => vdsoOf(memory))
    for (const { name, start, end } of needed)
      if (!parts.some((part) => part.name === name && part.sizeBytes === end - start))
        throw new RestoreError(
          'THAW_VDSO',
          `Cannot restore: the tree has a ${name} that this kernel does not give. Restore it where it was made.`,
        )
    this.#parts = parts.filter(({ name }) => needed.some((mapping) => mapping.name === name))
    const first = this.#parts.reduce((least, { offset }) => (offset < least ? offset : least), 0n)
    this.#aside = new Map(
      this.#parts.map(({ name, offset, sizeBytes }) => [name, { start: room + offset - first, end: room + offset - first + sizeBytes }]),
    )
  }

  /** In the template, until the first process's memory is there. */
  get placesAside(): VdsoPlaces {
    return this.#aside
  }

  /** In a process whose memory is in place: what it has itself is there, the rest aside. */
  placesIn(memory: MemoryModel): VdsoPlaces {
    return new Map([...this.#aside, ...ownPlaces(memory)])
  }

  /** In the template. @param code where its vDSO is */
  emitAside(program: Program, code: Cell): void {
    for (const { name, offset } of this.#parts) {
      const to = this.#aside.get(name)
      if (to !== undefined) emitMove(program, offset === 0n ? code : program.sum(code, offset), to)
    }
  }

  /** All of the way first: the place of one may be that of another. */
  emitPlaced(program: Program, from: VdsoPlaces, memory: MemoryModel): void {
    const own = ownPlaces(memory)
    const moving = [...from].filter(([name, { start }]) => own.get(name)?.start !== start)
    for (const [name, { start }] of moving) {
      const aside = this.#aside.get(name)
      if (aside !== undefined && aside.start !== start) emitMove(program, start, aside)
    }
    for (const [name] of moving) {
      const [aside, to] = [this.#aside.get(name), own.get(name)]
      if (aside !== undefined && to !== undefined) emitMove(program, aside.start, to)
    }
  }

  /** When it has forked all that it forks. */
  emitRest(program: Program, memory: MemoryModel): void {
    const own = ownPlaces(memory)
    for (const [name, { start, end }] of this.#aside) if (!own.has(name)) program.call('munmap', [start, end - start])
  }
}

const vdsoOf = ({ mappings }: MemoryModel): Mapping[] =>
  mappings.filter(({ kind }) => kind === MappingKind.vvar || kind === MappingKind.vdso)

const ownPlaces = (memory: MemoryModel): VdsoPlaces => new Map(vdsoOf(memory).map((mapping) => [mapping.name, mapping]))

function emitMove(program: Program, from: Cell | bigint, { start, end }: AddressRange): void {
  program.call('mremap', [from, end - start, end - start, MREMAP_MAYMOVE_FIXED, start], { equal: start })
}
