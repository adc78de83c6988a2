/** setitimer(2): the real, virtual and profiling timer of a process. */
import type { ParasiteResults } from '../checkpoint/parasite.js'
import type { Clocks, IntervalTimer } from '../image/model.js'
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import { SIGINFO_BYTES } from '../program/siginfo.js'
import { difference, dueInCopy, now, offsetsOf, onceTold, promptly, storeTime, timeLeft } from './clocks.js'
import type { PendingSignals } from './posix-timers.js'
import type { Support } from './support.js'
import { signalOf } from './timer-signals.js'

export const support: Support = { topic: 'task', carried: 'interval timers' }

const WHICH = [0, 1, 2]
const ITIMER_REAL = 0
const CLOCK_MONOTONIC = 1
/** struct itimerval: interval and value, each seconds and microseconds. */
const TIMER_BYTES = 32
const TIMESPEC_BYTES = 16
const MICROSECOND = 1000n
const SIGALRM = 14
const SI_KERNEL = 0x80
const SIGSET_BYTES = 8
/** A beat may be too quick for anybody to read it in between. */
const MOST_TRIES = 10

/** What is left is read together with the time, since answers are heard much later. */
export function askIntervalTimers(program: Program, pid: number, pending: PendingSignals): (results: ParasiteResults) => IntervalTimer[] {
  const address = program.bundle.allocate(TIMER_BYTES * WHICH.length)
  const stamp = program.bundle.allocate(TIMESPEC_BYTES)
  const at = (which: number): bigint => address + BigInt(which * TIMER_BYTES)
  program.for('interval timers', () => {
    for (const which of WHICH) program.call('getitimer', [which, at(which)])
    const look = (): void =>
      promptly(program, () => {
        program.call('getitimer', [ITIMER_REAL, at(ITIMER_REAL)])
        program.call('clock_gettime', [CLOCK_MONOTONIC, stamp])
      })
    const read = (): void => onceTold(program, look, at(ITIMER_REAL) + 16n)
    read()
    const isAlarm = (info: Uint8Array): boolean => signalOf(info) === SIGALRM
    if (pending.process.some(isAlarm) && !pending.leader.some(isAlarm)) askBeat(program, at(ITIMER_REAL), read)
  })
  const toDumper = offsetsOf(process.pid).monotonic - offsetsOf(pid).monotonic
  return (results) => {
    const [sec = 0n, ns = 0n] = new BigInt64Array(results.bytes(stamp, TIMESPEC_BYTES).slice().buffer)
    const read = sec * 1_000_000_000n + ns + toDumper
    return WHICH.map((which) => decode(which, results.bytes(at(which), TIMER_BYTES), read)).filter(
      ({ value, interval }) => value !== 0n || interval !== 0n,
    )
  }
}

/**
 * A timer that has fired rests until its signal is taken, and only then goes on by its beat (dequeue_signal() in kernel/signal.c). So that is
 * taken, and put back: the timer goes on meanwhile, and rests again when it fires into the pending signal. Where it fires before it is read, it rests
 * already, and its new signal is taken.
 */
function askBeat(program: Program, timer: bigint, read: () => void): void {
  const { bundle } = program
  const runs = program.jump(0, 'not-equal', program.sum(program.load(timer + 16n, 8), program.load(timer + 24n, 8)), 0)
  const once = program.jump(0, 'equal', program.sum(program.load(timer, 8), program.load(timer + 8n, 8)), 0)
  const info = bundle.allocate(SIGINFO_BYTES)
  const tries = bundle.allocate(8)
  program.store(tries, 0, 8)
  const again = program.here
  const taken = program.call('rt_sigtimedwait', [bundle.words(1n << BigInt(SIGALRM - 1)), info, bundle.words(0, 0), SIGSET_BYTES], 'any')
  const none = program.jump(0, 'less', taken, 0)
  read()
  const goesOn = program.jump(0, 'not-equal', program.sum(program.load(timer + 16n, 8), program.load(timer + 24n, 8)), 0)
  program.store(tries, program.sum(program.load(tries, 8), 1), 8)
  program.jump(again, 'less', program.load(tries, 8), MOST_TRIES)
  goesOn.target = program.here
  program.call('rt_sigqueueinfo', [program.call('getpid'), SIGALRM, info], 'any')
  for (const jump of [runs, once, none]) jump.target = program.here
}

/** @param read when, by the clock of the dumper */
function decode(which: number, bytes: Uint8Array, read: bigint): IntervalTimer {
  const [intervalSec = 0n, intervalUsec = 0n, sec = 0n, usec = 0n] = new BigInt64Array(bytes.slice().buffer)
  const told = sec * 1_000_000_000n + usec * MICROSECOND
  // Told rounded down.
  const left = told === 0n ? 0n : told + MICROSECOND - 1n
  // The other two run on the processor time of the process, which stands still with it.
  const value = which === ITIMER_REAL && left !== 0n ? read + left : left
  return { which, interval: intervalSec * 1_000_000_000n + intervalUsec * 1000n, value }
}

/** By the leader, with all signals blocked, behind the gate and once what was pending is pending: of SIGALRM, the first is kept. */
export function emitIntervalTimers(program: Program, pid: number, timers: readonly IntervalTimer[], clocks: Clocks): void {
  program.for('interval timers', () => {
    for (const timer of timers) {
      const { which, interval, value } = timer
      if (which === ITIMER_REAL && value !== 0n) promptly(program, () => armReal(program, pid, timer, clocks))
      // No time left, and yet an interval: it has fired, and waits for its signal, of which it is not known where it is. It fires again.
      else program.call('setitimer', [which, program.bundle.words(...timeval(interval), ...timeval(value === 0n ? 1n : value)), 0])
    }
  })
}

function armReal(program: Program, pid: number, { interval, value }: IntervalTimer, clocks: Clocks): void {
  const setting = program.bundle.words(...timeval(interval), 0, 0)
  if (interval === 0n) storeTime(program, setting + 16n, timeLeft(program, clocks, value), MICROSECOND)
  else storeTime(program, setting + 16n, leftOfPeriod(program, pid, interval, dueInCopy(clocks, value)), MICROSECOND)
  program.call('setitimer', [ITIMER_REAL, setting, 0])
}

/** Where it has been due meanwhile it sends its signal, and goes on by the same beat. */
function leftOfPeriod(program: Program, pid: number, interval: bigint, due: bigint): Cell {
  const left = program.bundle.allocate(8)
  const late = difference(program, now(program, CLOCK_MONOTONIC), due)
  program.store(left, difference(program, 0, late), 8)
  const early = program.jump(0, 'less', late, 0)
  program.call('rt_sigqueueinfo', [pid, SIGALRM, program.bundle.bytes(fromKernel())])
  const missed = program.sum(program.quotient(late, interval), 1)
  program.store(left, difference(program, program.product(missed, interval), late), 8)
  early.target = program.here
  return program.load(left, 8)
}

/** siginfo_t of what ITIMER_REAL sends. */
function fromKernel(): Uint8Array {
  const info = new Uint8Array(SIGINFO_BYTES)
  const view = new DataView(info.buffer)
  view.setInt32(0, SIGALRM, true)
  view.setInt32(8, SI_KERNEL, true)
  return info
}

/** Rounded up: a value of zero would disarm. */
const timeval = (ns: bigint): [bigint, bigint] => [(ns + 999n) / 1_000_000_000n, ((ns + 999n) % 1_000_000_000n) / MICROSECOND]
