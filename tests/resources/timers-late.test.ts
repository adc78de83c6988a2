/** Timers as a copy arms them when somebody else runs between any two calls: they come late, never early. */
import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import type { Clocks, PosixTimer } from '../../dist/core/image/model.js'
import type { Program } from '../../dist/core/program/program.js'
import { nanoseconds, now } from '../../dist/core/resources/clocks.js'
import { armOverrunTimers, armPosixTimers, emitPosixTimers, emitRestoreIds } from '../../dist/core/resources/posix-timers.js'
import { exited, interpret, numbers, report } from '../program/interpreter.ts'

const [REALTIME, MONOTONIC] = [0, 1]
const MILLISECOND = 1_000_000n
const SECOND = 1000n * MILLISECOND
const BEAT = 400n * MILLISECOND
const [SIGNAL, SIG_BLOCK, SIGSET_BYTES] = [40, 0, 8]
/** After each look at a clock or at a timer. */
const BETWEEN = 3n * MILLISECOND

/** The clocks of a tree that was read now. */
const clocksNow = (): Clocks => {
  const taken = native.clockGettime(MONOTONIC)
  return { taken, monotonic: taken, boottime: native.clockGettime(7), realtime: native.clockGettime(REALTIME) }
}

/** Whoever runs the program is interrupted after each look at a clock. */
function interrupted(program: Program, build: () => void): void {
  const pause = program.bundle.words(0, BETWEEN)
  const callInto = program.callInto.bind(program)
  program.callInto = (out, name, args, expected): void => {
    callInto(out, name, args, expected)
    if (/^clock_gettime|gettime$|^getitimer/.test(name)) callInto(program.bundle.cell('pause'), 'nanosleep', [pause, 0])
  }
  build()
  program.callInto = callInto
}

/** A timer on the wall clock that was read at `clocks.taken`. */
const wallTimer = (value: bigint, rest: Partial<PosixTimer> = {}): PosixTimer => ({
  id: 0,
  clock: REALTIME,
  notify: 0,
  signal: SIGNAL,
  valuePointer: 0n,
  thread: 0,
  interval: 0n,
  value,
  overrun: 0,
  waiting: 0n,
  ...rest,
})

/** How much later than it should a timer is due, by the clock that time is kept by between two machines: nanoseconds. */
function lateness(timer: PosixTimer, clocks: Clocks): bigint {
  const { output, status } = interpret((program, bundle) => {
    const set = bundle.words(1n << BigInt(SIGNAL - 1))
    program.call('rt_sigprocmask', [SIG_BLOCK, set, 0, SIGSET_BYTES])
    emitRestoreIds(program, true)
    emitPosixTimers(program, [timer])
    interrupted(program, () => {
      armOverrunTimers(program, [timer], clocks)
      armPosixTimers(program, [timer], clocks)
    })
    // Taken, it goes on by its beat.
    program.call('rt_sigtimedwait', [set, 0, bundle.words(0, 0), SIGSET_BYTES], 'any')
    const setting = bundle.allocate(32)
    program.call('timer_gettime', [timer.id, setting])
    report(program, program.sum(now(program, MONOTONIC), nanoseconds(program, setting + 16n)))
    program.call('exit_group', [0])
  })
  expect(status).toEqual(exited(0))
  const [due = 0n] = numbers(output)
  return due - timer.value
}

test('a POSIX timer on the wall clock', () => {
  const clocks = clocksNow()
  const late = lateness(wallTimer(clocks.taken + 1000n * SECOND), clocks)
  expect(late).toBeGreaterThanOrEqual(0n)
  expect(late).toBeLessThan(SECOND)
})

test.each<[string, Partial<PosixTimer>]>([
  ['has not been heard', {}],
  ['waits with its signal', { waiting: 3n }],
  ['has overrun', { overrun: 2 }],
])('the beat of a POSIX timer on the wall clock that %s', (_, rest) => {
  const clocks = clocksNow()
  const late = lateness(wallTimer(clocks.taken + 1000n * MILLISECOND, { interval: BEAT, ...rest }), clocks)
  const offBeat = ((late % BEAT) + BEAT) % BEAT
  expect(offBeat).toBeLessThan(BEAT / 2n)
})
