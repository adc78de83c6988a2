/**
 * Expirations of POSIX interval timers that have happened already. The kernel counts them as the timer's signal is taken, from the moment
 * that it was first due (posixtimer_deliver_signal, hrtimer_forward), and has no call that sets the count: so a timer is armed to have
 * been due for the first time as long ago as it was.
 */
import type { Argument } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import { SIGINFO_BYTES } from '../program/siginfo.js'
import { nanoseconds, now, storeTime } from './clocks.js'

const TIMER_ABSTIME = 1
const TIMESPEC_BYTES = 16
const SI_OVERRUN = 20n
const SIGSET_BYTES = 8
/** How often the count is tried to be had: a timer that is due again before its signal is taken counts one more. */
const MOST_TRIES = 1000
/** The least that is left of a timer while its signal is taken, where its interval has room for it. */
const MARGIN = 500_000n
const ENOUGH: readonly [number, number] = [2, 0]

export interface Expiring {
  readonly id: number
  readonly signal: number
  /** Nanoseconds. */
  readonly interval: Argument
}

/** Arms the timer as if it had been due so many times, with its signal not taken since. @param due when it is due next, by its clock */
export function armExpired(program: Program, { id, interval }: Expiring, due: Argument, times: Argument): void {
  const setting = program.bundle.allocate(2 * TIMESPEC_BYTES)
  storeTime(program, setting, interval)
  storeTime(program, setting + 16n, program.sum(due, program.product(program.product(times, interval), -1)))
  program.call('timer_settime', [id, TIMER_ABSTIME, setting, 0])
}

/**
 * Arms the timer, whose signal was last taken with this overrun. The caller is one whom the signal reaches, and blocks it.
 *
 * @param due called for each try
 */
export function armOverrun(
  program: Program,
  timer: Expiring & { readonly clock: number; readonly interval: bigint },
  due: () => Argument,
  overrun: number,
): void {
  const set = signalSet(program, timer.signal)
  const tries = program.bundle.words(0)
  const again = program.here
  program.call('rt_sigtimedwait', [set, 0, program.bundle.words(0, 0), SIGSET_BYTES], 'any')
  armExpired(program, timer, notTooSoon(program, timer, due()), overrun + 1)
  program.call('rt_sigtimedwait', [set, 0, program.bundle.words(...ENOUGH), SIGSET_BYTES], { equal: timer.signal })
  const counted = program.jump(0, 'equal', program.call('timer_getoverrun', [timer.id]), overrun)
  program.store(tries, program.sum(program.load(tries, 8), 1), 8)
  program.jump(again, 'less', program.load(tries, 8), MOST_TRIES)
  counted.target = program.here
  program.call('timer_getoverrun', [timer.id], { equal: overrun })
}

/** Later, where the timer would be due before its signal is taken. */
function notTooSoon(program: Program, { clock, interval }: { clock: number; interval: bigint }, due: Argument): Argument {
  const chosen = program.bundle.allocate(8)
  const soonest = program.sum(now(program, clock), interval / 2n < MARGIN ? interval / 2n : MARGIN)
  program.store(chosen, due, 8)
  const late = program.jump(0, 'less', soonest, due)
  program.store(chosen, soonest, 8)
  late.target = program.here
  return program.load(chosen, 8)
}

/**
 * Counts the expirations that the pending signal of an interval timer stands for, by taking the signal and arming the timer as it was, in
 * one go: a parasite runs to its end whatever happens to the dumper. Nothing but this timer's signal may be pending with its number.
 *
 * @param setting struct itimerspec of the timer, brought up to date by `read`
 * @param at struct timespec: when that was, by the timer's clock
 * @returns address of the count; 0 when the signal was one of an earlier setting, which nobody will be given
 */
export function countExpirations(
  program: Program,
  timer: { id: number; signal: number },
  { setting, at }: { readonly setting: bigint; readonly at: bigint },
  read: () => void,
): bigint {
  const { bundle } = program
  const [count, info, set] = [bundle.words(0), bundle.allocate(SIGINFO_BYTES), signalSet(program, timer.signal)]
  const again = program.here
  const taken = program.call('rt_sigtimedwait', [set, info, bundle.words(0, 0), SIGSET_BYTES], 'any')
  const none = program.jump(0, 'less', taken, 0)
  program.store(count, program.sum(program.load(count, 8), program.sum(program.load(info + SI_OVERRUN, 4), 1)), 8)
  read()
  // It may have been due again before it was asked what is left.
  program.jump(again)
  none.target = program.here
  const times = program.load(count, 8)
  const stale = program.jump(0, 'equal', times, 0)
  const due = program.sum(nanoseconds(program, at), nanoseconds(program, setting + 16n))
  armExpired(program, { ...timer, interval: nanoseconds(program, setting) }, due, times)
  stale.target = program.here
  return count
}

const signalSet = (program: Program, signal: number): bigint => program.bundle.words(1n << BigInt(signal - 1))
