/** Finding room in an address space: holes between mappings, and never-touched pages. */
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
/** Below its pointer, a stack of the kernel's making is dead memory, but for the red zone. */
const STACK_DISTANCE = 1n << 14n
/** PAGE_IS_PRESENT, PAGE_IS_SWAPPED (linux/fs.h). */
const PAGE_IS_TOUCHED = (1n << 3n) | (1n << 4n)

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

/** Stands at the start of scratch memory while it is in use: a dumper that was killed leaves it behind, and the next one knows the place by it. */
export const SCRATCH_MARK: Uint8Array = Buffer.from('thaw \x7f scratch \x01', 'latin1')

/**
 * Pages where nothing lives: the far end of the main stack while it holds only zeros (never touched, or wiped after an earlier
 * checkpoint) or what a killed dumper has left, and all stack pointers are elsewhere, the leader's far above; else never-touched pages of any
 * private anonymous memory (a thread's stack, most likely). Undefined when there are none, as after mlockall with a full stack.
 *
 * @param stackPointers of all threads, the leader's first
 */
export function findScratch(
  memFd: number,
  pagemapFd: number,
  lines: readonly MappingLine[],
  stackPointers: readonly bigint[],
  lengthBytes: number,
): bigint | undefined {
  const length = (BigInt(lengthBytes) + PAGE_BYTES - 1n) & ~(PAGE_BYTES - 1n)
  const stack = lines.find(({ path }) => path === '[stack]')
  if (stack !== undefined && isFarEnd(stack, length, stackPointers) && isFree(memFd, stack.start, length)) return stack.start
  for (const line of stacksFirst(lines)) {
    const place = untouchedIn(pagemapFd, line, length)
    if (place !== undefined) return place
  }
  return undefined
}

/** A thread whose dumper was killed may still be on its way home, over frames that stand there. */
function isFarEnd({ start, end }: MappingLine, length: bigint, [leader = 0n, ...others]: readonly bigint[]): boolean {
  return start + length + STACK_DISTANCE < leader && leader < end && !others.some((pointer) => start <= pointer && pointer < start + length)
}

function isFree(memFd: number, start: bigint, length: bigint): boolean {
  const bytes = Buffer.from(native.readAt(memFd, start, Number(length)))
  return bytes.every((byte) => byte === 0) || bytes.subarray(0, SCRATCH_MARK.length).equals(SCRATCH_MARK)
}

function stacksFirst(lines: readonly MappingLine[]): MappingLine[] {
  const usable = lines.filter(({ permissions, path }) => permissions === 'rw-p' && (path === '' || path === '[stack]' || path === '[heap]'))
  // glibc maps a thread's stack behind a guard: its size gives it away better than anything else. Any one of them will do.
  const rank = ({ path }: MappingLine): number => (path === '[stack]' ? 0 : 1)
  return usable.sort((a, b) => rank(a) - rank(b))
}

function untouchedIn(pagemapFd: number, { start, end }: MappingLine, length: bigint): bigint | undefined {
  const touched = native.scanPagemap(pagemapFd, start, end, {
    inverted: 0n,
    required: 0n,
    anyOf: PAGE_IS_TOUCHED,
    returned: PAGE_IS_TOUCHED,
  })
  let free = start
  for (let i = 0; i + 2 < touched.length; i += 3) {
    if ((touched[i] ?? 0n) - free >= length) return free
    free = touched[i + 1] ?? free
  }
  return end - free >= length ? free : undefined
}
