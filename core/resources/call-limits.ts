/** In the copy: calls that were interrupted go on for what is left of their time (core/program/time-limit.ts). */
import type { Clocks, MemoryModel, TimeLimit } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import { isInFrame, registerOffset } from '../program/frame.js'
import type { Program } from '../program/program.js'
import { promptly, storeTime, timeLeft } from './clocks.js'

const MILLISECOND = 1_000_000n
const PROT_READ_WRITE = 3
const TIMESPEC_BYTES = 16n
/** Nanoseconds per unit of the second word: of a timespec, and of a timeval. */
const FRACTIONS: readonly number[] = [1, 1000]

/** The interpreter writes where it says: into a register of the frame, and private memory of the process that may be written to. */
export function verifyTimeLimit(
  { register, address, fraction }: TimeLimit,
  { mappings }: MemoryModel,
  require: (fits: boolean, otherwise: string) => void,
): void {
  require(isInFrame(register), `is in register ${register}, which cannot be`)
  if (address === 0n) return
  require(FRACTIONS.includes(fraction), `cannot be in units of ${fraction} ns`)
  const isPlace = mappings.some(
    ({ start, end, kind, protection }) =>
      start <= address &&
      address + TIMESPEC_BYTES <= end &&
      (kind === MappingKind.anonymous || kind === MappingKind.filePrivate) &&
      (protection & PROT_READ_WRITE) === PROT_READ_WRITE,
  )
  require(isPlace, `is at 0x${address.toString(16)}, where the process cannot write`)
}

/** Into the memory that the call reads its limit from, or the signal frame that the thread leaves by. Rounded up: no call ends too early. */
export function storeTimeLeft(program: Program, clocks: Clocks, limit: TimeLimit, frame: { readonly context: bigint }): void {
  const { register, address, fraction, due } = limit
  promptly(program, () => {
    const left = timeLeft(program, clocks, due)
    if (address !== 0n) return storeTime(program, address, left, BigInt(fraction))
    const milliseconds = program.quotient(program.sum(left, MILLISECOND - 1n), MILLISECOND)
    program.store(frame.context + BigInt(registerOffset(register)), milliseconds, 8)
  })
}
