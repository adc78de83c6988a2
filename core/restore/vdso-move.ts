/** The vDSO with its data: the one thing in an address space that cannot be mapped anew, only moved (mremap(2)). */
import type { AddressRange } from '../checkpoint/space.js'
import type { Mapping, MemoryModel } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import type { Argument } from '../program/bundle.js'
import type { Program } from '../program/program.js'

const MREMAP_MAYMOVE_FIXED = 3

/** Its parts, in the order of addresses: one or two of data, then the code. */
export const vdsoOf = ({ mappings }: MemoryModel): Mapping[] =>
  mappings.filter(({ kind }) => kind === MappingKind.vvar || kind === MappingKind.vdso)

/** From the first part to the end of the code; undefined for a process that has unmapped it. */
export function vdsoRange(memory: MemoryModel): AddressRange | undefined {
  const parts = vdsoOf(memory)
  const [first, last] = [parts[0], parts.at(-1)]
  return first === undefined || last === undefined ? undefined : { start: first.start, end: last.end }
}

/** Moves all parts to where their first one is to stand. @param from the place of the part that is at `origin` in the image */
export function emitMove(program: Program, parts: readonly Mapping[], from: Argument, origin: bigint, to: bigint): void {
  const first = parts[0]?.start ?? 0n
  for (const { start, end } of parts) {
    const here = typeof from === 'bigint' ? from + (start - origin) : program.sum(from, start - origin)
    const there = to + (start - first)
    program.call('mremap', [here, end - start, end - start, MREMAP_MAYMOVE_FIXED, there], { equal: there })
  }
}
