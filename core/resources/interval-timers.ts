/** setitimer(2): the real, virtual and profiling timer of a process. */
import type { ParasiteResults } from '../checkpoint/parasite.js'
import type { IntervalTimer } from '../image/model.js'
import type { Program } from '../program/program.js'
import { offsetsOf } from './clocks.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'task',
  carried: 'interval timers',
  conditions: ['ITIMER_REAL and relative timerfds are late by what a restore takes between the opening of the gate and their setting.'],
}

const WHICH = [0, 1, 2]
const ITIMER_REAL = 0
const CLOCK_MONOTONIC = 1
/** struct itimerval: interval and value, each seconds and microseconds. */
const TIMER_BYTES = 32
const TIMESPEC_BYTES = 16

/** What is left is read together with the time, since answers are heard much later. */
export function askIntervalTimers(program: Program, pid: number): (results: ParasiteResults) => IntervalTimer[] {
  const address = program.bundle.allocate(TIMER_BYTES * WHICH.length)
  const stamp = program.bundle.allocate(TIMESPEC_BYTES)
  const at = (which: number): bigint => address + BigInt(which * TIMER_BYTES)
  program.for('interval timers', () => {
    for (const which of WHICH) program.call('getitimer', [which, at(which)])
    program.call('clock_gettime', [CLOCK_MONOTONIC, stamp])
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

/** @param read when, by the clock of the dumper */
function decode(which: number, bytes: Uint8Array, read: bigint): IntervalTimer {
  const [intervalSec = 0n, intervalUsec = 0n, sec = 0n, usec = 0n] = new BigInt64Array(bytes.slice().buffer)
  const left = sec * 1_000_000_000n + usec * 1000n
  // The other two run on the processor time of the process, which stands still with it.
  const value = which === ITIMER_REAL && left !== 0n ? read + left : left
  return { which, interval: intervalSec * 1_000_000_000n + intervalUsec * 1000n, value }
}

/** Armed with what was left, so it belongs after the gate. */
export function emitIntervalTimers(program: Program, timers: readonly IntervalTimer[], remaining: (due: bigint) => bigint): void {
  program.for('interval timers', () => {
    for (const { which, interval, value } of timers) {
      // No time left, and yet an interval: it has fired, and waits for its signal to be taken before it goes on. It fires again into the
      // same pending signal.
      const left = which === ITIMER_REAL || value === 0n ? remaining(value) : value
      program.call('setitimer', [which, program.bundle.words(...timeval(interval), ...timeval(left)), 0])
    }
  })
}

/** Rounded up: a value of zero would disarm. */
const timeval = (ns: bigint): [bigint, bigint] => [(ns + 999n) / 1_000_000_000n, ((ns + 999n) % 1_000_000_000n) / 1000n]
