/** Finding room in an address space: holes between mappings, and pages where nothing lives. */
import { native } from '../../native/index.js'
import { CheckpointError } from '../errors.js'
import type { MappingLine } from '../proc/maps.js'
import { PAGE_BYTES } from './pages.js'

export interface AddressRange {
  readonly start: bigint
  readonly end: bigint
}

/** Holes are looked for from here up: above where programs without PIE are linked, below where anything else usually stands. */
const LOWEST = 0x2000_0000_0000n
const HIGHEST = 0x7fff_ffff_f000n
const GAP = 1n << 21n
/** Below its pointer, a stack of the kernel's making is dead memory, but for the red zone; a signal that comes when the dumper has just died may take some. */
const STACK_DISTANCE = 1n << 14n
/** PAGE_IS_PRESENT, PAGE_IS_SWAPPED (linux/fs.h). */
const PAGE_IS_TOUCHED = (1n << 3n) | (1n << 4n)
const PAGE_IS_PFNZERO = 1n << 5n

/** The start of a hole of this size, free in every one of the address spaces, 2 MiB away from its neighbours. */
export function findHole(taken: readonly AddressRange[], sizeBytes: bigint): bigint {
  let candidate = LOWEST
  for (const { start, end } of taken.toSorted((a, b) => (a.start < b.start ? -1 : 1))) {
    if (end + GAP <= candidate) continue
    if (start >= candidate + sizeBytes + GAP) return candidate
    candidate = ((end + GAP * 2n - 1n) / GAP) * GAP
  }
  if (candidate + sizeBytes > HIGHEST)
    throw new CheckpointError('THAW_NO_HOLE', `No hole of ${sizeBytes} bytes is left in the address space.`)
  return candidate
}

/**
 * Pages to work from: best, the far end of the main stack while the leader's pointer is far above it and no other pointer is in it. What stands there is of
 * calls that have returned: it is put back, but no program can rely on it, as a signal handler would write over it. Who switches stacks by hand has the
 * pointer elsewhere. Else pages of private anonymous memory that were never written to (a thread's stack, most likely); they count as written
 * afterwards. Undefined when there are none, as deep in a recursion with a full heap.
 *
 * @param stackPointers of all threads, the leader's first
 */
export function findScratch(
  pagemapFd: number,
  lines: readonly MappingLine[],
  stackPointers: readonly bigint[],
  lengthBytes: number,
): bigint | undefined {
  const length = (BigInt(lengthBytes) + PAGE_BYTES - 1n) & ~(PAGE_BYTES - 1n)
  const stack = lines.find(({ path }) => path === '[stack]')
  if (stack !== undefined && isFarEnd(stack, length, stackPointers)) return stack.start
  for (const line of stacksFirst(lines)) {
    const place = unwrittenIn(pagemapFd, line, length)
    if (place !== undefined) return place
  }
  return undefined
}

/** A thread whose dumper was killed may still be on its way home, over frames that stand there. */
function isFarEnd({ start, end }: MappingLine, length: bigint, [leader = 0n, ...others]: readonly bigint[]): boolean {
  return start + length + STACK_DISTANCE < leader && leader < end && !others.some((pointer) => start <= pointer && pointer < start + length)
}

function stacksFirst(lines: readonly MappingLine[]): MappingLine[] {
  const usable = lines.filter(({ permissions, path }) => permissions === 'rw-p' && (path === '' || path === '[stack]' || path === '[heap]'))
  // glibc maps a thread's stack behind a guard: its size gives it away better than anything else. Any one of them will do.
  const rank = ({ path }: MappingLine): number => (path === '[stack]' ? 0 : 1)
  return usable.sort((a, b) => rank(a) - rank(b))
}

/** What was only looked at, as the dumper does itself, is the kernel's page of zeros. */
function unwrittenIn(pagemapFd: number, { start, end }: MappingLine, length: bigint): bigint | undefined {
  const written = native.scanPagemap(pagemapFd, start, end, {
    inverted: PAGE_IS_PFNZERO,
    required: PAGE_IS_PFNZERO,
    anyOf: PAGE_IS_TOUCHED,
    returned: PAGE_IS_TOUCHED,
  })
  let free = start
  for (let i = 0; i + 2 < written.length; i += 3) {
    if ((written[i] ?? 0n) - free >= length) return free
    free = written[i + 1] ?? free
  }
  return end - free >= length ? free : undefined
}
