/**
 * Calls with a relative time limit that a freeze interrupted: where the limit stands, and what is left of it. In the copy they go on with that.
 *
 * Limits in milliseconds stand in a register. For those in memory a place is taken that nobody uses, right below the red zone of the
 * thread's stack, and the register points there; where the kernel itself has written what is left for the program to see, that place is used.
 */
import type { TimeLimit } from '../image/model.js'
import { get, reg } from './registers.js'
import type { RegisterName } from './registers.js'

type Form = 'milliseconds' | 'timespec' | 'timeval'

interface TimedCall {
  readonly register: RegisterName
  readonly form: Form
  /** Where the kernel writes what is left when the call is interrupted (ERESTART_RESTARTBLOCK, ERESTARTNOHAND). */
  readonly rest?: RegisterName
}

const NANOSLEEP = 35n
const CLOCK_NANOSLEEP = 230n
const FUTEX = 202n
const timed: ReadonlyMap<bigint, TimedCall> = new Map([
  [7n, { register: 'rdx', form: 'milliseconds' }], // poll
  [232n, { register: 'r10', form: 'milliseconds' }], // epoll_wait
  [281n, { register: 'r10', form: 'milliseconds' }], // epoll_pwait
  [441n, { register: 'r10', form: 'timespec' }], // epoll_pwait2
  [23n, { register: 'r8', form: 'timeval', rest: 'r8' }], // select
  [270n, { register: 'r8', form: 'timespec', rest: 'r8' }], // pselect6
  [271n, { register: 'rdx', form: 'timespec', rest: 'rdx' }], // ppoll
  [NANOSLEEP, { register: 'rdi', form: 'timespec', rest: 'rsi' }],
  [CLOCK_NANOSLEEP, { register: 'rdx', form: 'timespec', rest: 'r10' }],
  [FUTEX, { register: 'r10', form: 'timespec' }],
  [128n, { register: 'rdx', form: 'timespec' }], // rt_sigtimedwait
  [220n, { register: 'r10', form: 'timespec' }], // semtimedop
])

const EINTR = -4n
const ERESTARTNOHAND = -514n
const ERESTART_RESTARTBLOCK = -516n
const TIMER_ABSTIME = 1n
const FUTEX_WAIT = 0n
const FUTEX_COMMAND_MASK = 0x7fn
/** CLOCK_PROCESS_CPUTIME_ID and CLOCK_THREAD_CPUTIME_ID; those of other tasks are negative. They stand still with the task. */
const CPU_CLOCKS = new Set([2n, 3n])
const NS = 1_000_000_000n
const NS_PER_MS = 1_000_000n
/** More than a century: added to a clock, it still fits 64 bits. */
const LONGEST = 1n << 62n
const RED_ZONE_BYTES = 128n
const TIMESPEC_BYTES = 16

export const isTimed = (call: bigint): boolean => timed.has(call)

export interface Interrupted {
  /** When it went to sleep in the call, and when it was stopped, by the dumper's CLOCK_MONOTONIC. */
  readonly since: bigint
  readonly stopped: bigint
  /** The memory of the process; undefined where there is none. */
  read(address: bigint, length: number): Uint8Array | undefined
  /** Whether a copy may write there. */
  writable(address: bigint, length: number): boolean
}

/** Undefined for a thread that is in no such call, or in one that has no limit, or whose limit cannot be had. */
export function timeLimitOf(registers: BigUint64Array, interrupted: Interrupted): TimeLimit | undefined {
  const call = BigInt.asIntN(64, get(registers, 'origRax'))
  const how = timed.get(call)
  if (how === undefined || !isInterrupted(registers) || !isRelative(call, registers)) return undefined
  const register = reg[how.register]
  const value = get(registers, how.register)
  if (how.form === 'milliseconds') {
    const limit = BigInt.asIntN(32, value)
    return limit < 0n ? undefined : { register, address: 0n, fraction: 0, due: interrupted.since + limit * NS_PER_MS }
  }
  const fraction = how.form === 'timeval' ? 1000 : 1
  const result = BigInt.asIntN(64, get(registers, 'rax'))
  const rest = how.rest === undefined || result === EINTR ? 0n : get(registers, how.rest)
  const address = rest === 0n ? belowStack(registers) : rest
  const limit = value === 0n ? undefined : nanoseconds(interrupted.read(rest === 0n ? value : rest, TIMESPEC_BYTES), fraction)
  if (limit === undefined || !interrupted.writable(address, TIMESPEC_BYTES)) return undefined
  return { register, address, fraction, due: (rest === 0n ? interrupted.since : interrupted.stopped) + limit }
}

const belowStack = (registers: BigUint64Array): bigint => (get(registers, 'rsp') - RED_ZONE_BYTES - BigInt(TIMESPEC_BYTES)) & ~0xfn

/** The kernel has looked at it when the call was made; what is not valid any more is cut off. */
function nanoseconds(words: Uint8Array | undefined, fraction: number): bigint | undefined {
  if (words === undefined) return undefined
  const [seconds = 0n, rest = 0n] = new BigInt64Array(words.slice().buffer)
  const limit = seconds * NS + rest * BigInt(fraction)
  return limit < 0n ? 0n : limit > LONGEST ? LONGEST : limit
}

function isInterrupted(registers: BigUint64Array): boolean {
  return [EINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK].includes(BigInt.asIntN(64, get(registers, 'rax')))
}

function isRelative(call: bigint, registers: BigUint64Array): boolean {
  if (call === FUTEX) return (get(registers, 'rsi') & FUTEX_COMMAND_MASK) === FUTEX_WAIT
  if (call !== CLOCK_NANOSLEEP) return true
  const clock = BigInt.asIntN(32, get(registers, 'rdi'))
  return (get(registers, 'rsi') & TIMER_ABSTIME) === 0n && clock >= 0n && !CPU_CLOCKS.has(clock)
}

/** The words of the timespec or timeval, rounded up: no call ends too early. */
export function limitWords({ fraction }: TimeLimit, leftNs: bigint): readonly [bigint, bigint] {
  const unit = BigInt(fraction)
  const left = (leftNs + unit - 1n) / unit
  return [left / (NS / unit), left % (NS / unit)]
}

/** The registers with which the call is made with what is left of its time. */
export function withTimeLeft(registers: BigUint64Array, { register, address }: TimeLimit, leftNs: bigint): BigUint64Array {
  const changed = registers.slice()
  changed[register] = address === 0n ? (leftNs + NS_PER_MS - 1n) / NS_PER_MS : address
  return changed
}
