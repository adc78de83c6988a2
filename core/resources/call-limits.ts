/** In the copy: calls that were interrupted go on for what is left of their time (core/program/time-limit.ts). */
import type { Clocks, TimeLimit } from '../image/model.js'
import { registerOffset } from '../program/frame.js'
import type { Program } from '../program/program.js'
import { promptly, storeTime, timeLeft } from './clocks.js'

const MILLISECOND = 1_000_000n

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
