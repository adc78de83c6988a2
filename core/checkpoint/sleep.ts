/**
 * Since when a thread has been blocked. The kernel does not tell how much is left of a call with a time limit, but /proc/PID/task/TID/sched tells
 * when the thread last ran (`se.exec_start`: by the clock of its processor's run queue), and how often it has gone to sleep.
 *
 * Noted while the thread still sleeps. If the freeze was its one wake-up since, the note holds for the call that the freeze interrupted.
 */
import { readFileSync } from 'node:fs'
import { native } from '../../native/index.js'
import { readStat } from '../proc/status.js'
import { get, withRegisters } from '../program/registers.js'
import { isTimed } from '../program/time-limit.js'
import type { Support } from '../resources/support.js'

export const support: Support = {
  topic: 'task',
  carried: 'registers with extended state, interrupted calls',
  conditions: [
    'A call with a time limit that the freeze interrupted goes on for what was left of it, which the kernel does not tell: it follows from when the thread last ran (`/proc/PID/task/TID/sched`; a millisecond or two off, more only where a hypervisor took the processor away). Where that cannot be read, where the thread had been woken and gone back to sleep in the call, and where the call had been interrupted before (by a debugger, or an earlier checkpoint of the same process), the limit counts from then on: the call ends late, never early. The register that held the limit holds what was left, or points below the stack, once the call returns; of calls that Linux itself would end with EINTR (`epoll_wait`, `sigtimedwait`), in the original too.',
    'A signal that waits because the mask of a call holds it back (`sigsuspend`, `ppoll`, `pselect`, `epoll_pwait`) is handled at once, as after any stop by a debugger, and the call ends with EINTR; in the original, too.',
    'Calls limited by their socket (`SO_RCVTIMEO`, `SO_SNDTIMEO`) begin anew with all of it.',
  ],
}

/** What is seen of a thread that sleeps in a call with a time limit. */
export interface Sleep {
  /** The call that it sleeps in. */
  readonly call: bigint
  /** When it went to sleep, by the clock of the run queue of this processor. */
  readonly at: bigint
  readonly processor: number
  /** How often it had gone to sleep by then, and for how long it had run, nanoseconds. */
  readonly count: number
  readonly ran: bigint
}

type Ran = Pick<Sleep, 'at' | 'count' | 'ran'>

const CLOCK_MONOTONIC = 1
const STAT_STATE = 3 - 3
const STAT_PROCESSOR = 39 - 3
const RESTART_SYSCALL = 219n
const ERESTART_RESTARTBLOCK = -516n
const POLL = 7n
const NANOSLEEP = 35n
const FUTEX = 202n
const CLOCK_NANOSLEEP = 230n
const LEAST_ADDRESS = 4096n
/** sched_setaffinity(2) wants a multiple of 8; 8192 processors. */
const AFFINITY_BYTES = 1024
const LOOKS = 4

/** The registers with the number of the call that a thread was in, where they say restart_syscall: the kernel goes on with it either way. */
export function asFirstMade(registers: BigUint64Array, call: bigint | undefined): BigUint64Array {
  return call === undefined || get(registers, 'origRax') !== RESTART_SYSCALL ? registers : withRegisters(registers, { origRax: call })
}

/** Whether a thread is about to go on with a call that was interrupted before: stopped before restart_syscall(2), or in it. */
export function isRestarting(registers: BigUint64Array): boolean {
  const [rax, origRax] = [BigInt.asIntN(64, get(registers, 'rax')), BigInt.asIntN(64, get(registers, 'origRax'))]
  return origRax === RESTART_SYSCALL ? rax === ERESTART_RESTARTBLOCK : rax === RESTART_SYSCALL && origRax < 0n
}

/** Whether this is the call that a stopped thread was interrupted in. */
export function isIn(registers: BigUint64Array, call: bigint): boolean {
  return get(registers, 'origRax') === call || get(registers, 'origRax') === RESTART_SYSCALL || isRestarting(registers)
}

/**
 * Undefined for a thread that does not sleep in such a call, or of which it cannot be read. Reads only, and in this order: a thread that was
 * not asleep yet at the first look has gone to sleep once more than `sleptOn` will find.
 */
export function noteSleep(pid: number, tid: number): Sleep | undefined {
  try {
    const ran = lastRun(`/proc/${pid}/task/${tid}`)
    const stat = readStat(pid, tid)
    if (ran === undefined || stat[STAT_STATE] !== 'S') return undefined
    const call = callOf(pid, tid)
    return call === undefined || !isTimed(call) ? undefined : { ...ran, call, processor: Number(stat[STAT_PROCESSOR]) }
  } catch {
    return undefined
  }
}

/**
 * Whether the thread, stopped by now, has slept in one go since it was noted: it has gone to sleep once more, in its stop, and has not run for longer
 * than the interrupt that woke it was ago. Whatever keeps it from running, or runs in its place, takes both as long.
 */
export function sleptOn(pid: number, tid: number, { count, ran }: Sleep, interruptAgoNs: bigint): boolean {
  const now = lastRun(`/proc/${pid}/task/${tid}`)
  return now !== undefined && now.count === count + 1 && now.ran - ran <= interruptAgoNs
}

/**
 * Undefined for a thread that runs. A call that was interrupted before, by a debugger or an earlier checkpoint, goes on as restart_syscall(2); where it
 * sleeps tells which one it was, since only poll, futex and the two sleeps do so.
 */
function callOf(pid: number, tid: number): bigint | undefined {
  const [number, first] = readFileSync(`/proc/${pid}/task/${tid}/syscall`, 'latin1').split(' ')
  if (number === undefined || first === undefined || !/^\d+$/.test(number)) return undefined
  if (BigInt(number) !== RESTART_SYSCALL) return BigInt(number)
  const where = readFileSync(`/proc/${pid}/task/${tid}/wchan`, 'latin1')
  if (where === '0') return undefined
  if (where.includes('poll')) return POLL
  if (where.includes('futex')) return FUTEX
  // The number of a clock, or the address of a limit.
  return BigInt(first) < LEAST_ADDRESS ? CLOCK_NANOSLEEP : NANOSLEEP
}

function lastRun(task: string): Ran | undefined {
  try {
    const text = readFileSync(`${task}/sched`, 'latin1')
    const at = /^se\.exec_start\s*:\s*(\d+)\.(\d{6})$/m.exec(text)
    const ran = /^se\.sum_exec_runtime\s*:\s*(\d+)\.(\d{6})$/m.exec(text)
    const count = /^nr_voluntary_switches\s*:\s*(\d+)$/m.exec(text)?.[1]
    if (at === null || ran === null || count === undefined) return undefined
    return { at: BigInt(`${at[1]}${at[2]}`), ran: BigInt(`${ran[1]}${ran[2]}`), count: Number(count) }
  } catch {
    // Not every kernel is built with it (CONFIG_SCHED_DEBUG before 6.15).
    return undefined
  }
}

/**
 * The clocks of the processors' run queues. They drift apart over the weeks by what a hypervisor takes away, so each is asked on its own
 * processor, once, and only after all have slept whose sleep is asked for: what was taken away since makes the rest of a limit longer, never shorter.
 */
export class RunQueueClocks {
  readonly #known = new Map<number, bigint | undefined>()

  /** What is added to the clock of a processor's run queue to get CLOCK_MONOTONIC; undefined where this thread is not let there. */
  of(processor: number): bigint | undefined {
    if (!this.#known.has(processor)) this.#known.set(processor, ask(processor))
    return this.#known.get(processor)
  }
}

function ask(processor: number): bigint | undefined {
  const before = new Uint8Array(AFFINITY_BYTES)
  try {
    native.syscall('sched_getaffinity', [0, before.length, before])
  } catch {
    return undefined
  }
  try {
    return onProcessor(processor) ? clockHere() : undefined
  } finally {
    native.syscall('sched_setaffinity', [0, before.length, before])
  }
}

/** False where this thread is not let. */
function onProcessor(processor: number): boolean {
  const only = new Uint8Array(AFFINITY_BYTES)
  only[processor >> 3] = 1 << (processor & 7)
  try {
    native.syscall('sched_setaffinity', [0, only.length, only])
    return true
  } catch {
    return false
  }
}

/**
 * A yield brings `exec_start` up to date. Whatever comes between (another thread, a tick that brings it up to date once more), the difference to
 * the time after the look is never too small, and that of the least disturbed look counts.
 */
function clockHere(): bigint | undefined {
  let closest: bigint | undefined
  for (let look = 0; look < LOOKS; look++) {
    native.syscall('sched_yield', [])
    const ran = lastRun('/proc/thread-self')
    if (ran === undefined) return undefined
    const difference = native.clockGettime(CLOCK_MONOTONIC) - ran.at
    if (closest === undefined || difference < closest) closest = difference
  }
  return closest
}
