/** An idle ring as an image keeps it. */

export interface IoUring {
  fd: number
  sqEntries: number
  cqEntries: number
  /** Where the ring's counters stand after the restore. */
  count: number
  sqArray: boolean
  mappings: RingMapping[]
  sqHead: number
  sqTail: number
  cqHead: number
  cqTail: number
  /** Offset of the array of indices, and whether it says nothing, as it does for a program that does without. */
  array: number
  emptyArray: boolean
  /** Contents without the zeros at the end; empty when the counters start over. */
  rings: Uint8Array
  sqes: Uint8Array
}

export interface RingMapping {
  start: bigint
  end: bigint
  sqes: boolean
  protection: number
  dontFork: boolean
}

/** The requests that are made up for, which takes one call for each round of the ring. */
export const MOST_COUNT: number = 1 << 16

export const lengthOf = ({ start, end }: { readonly start: bigint; readonly end: bigint }): bigint => end - start

/** The mapping that holds all of a ring's part: some map the two rings apart. */
export function longest<M extends { readonly start: bigint; readonly end: bigint; readonly sqes: boolean }>(
  mappings: readonly M[],
  sqes: boolean,
): M | undefined {
  return mappings.filter((mapping) => mapping.sqes === sqes).sort((a, b) => Number(lengthOf(b) - lengthOf(a)))[0]
}
