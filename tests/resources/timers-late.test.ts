/** Timers that are read, or armed in a copy, while somebody else runs between any two calls: they come late, never early. */
import { closeSync } from 'node:fs'
import { expect, onTestFinished, test, vi } from 'vitest'
import { native } from '../../dist/native/index.js'
import type { Clocks, PosixTimer } from '../../dist/core/image/model.js'
import type { Program } from '../../dist/core/program/program.js'
import { nanoseconds, now } from '../../dist/core/resources/clocks.js'
import { askIntervalTimers } from '../../dist/core/resources/interval-timers.js'
import { countExpirations } from '../../dist/core/resources/timer-expirations.js'
import { armOverrunTimers, armPosixTimers, emitPosixTimers, emitRestoreIds } from '../../dist/core/resources/posix-timers.js'
import { OwnTree } from './own-tree.ts'
import { exited, interpret, numbers, OUTPUT, report } from '../program/interpreter.ts'

const [REALTIME, MONOTONIC, BOOTTIME, REALTIME_ALARM, BOOTTIME_ALARM] = [0, 1, 7, 8, 9]
const MILLISECOND = 1_000_000n
const SECOND = 1000n * MILLISECOND
const BEAT = 400n * MILLISECOND
const [SIGNAL, SIG_BLOCK, SIGSET_BYTES] = [40, 0, 8]
/** After each look at a clock or at a timer. */
const BETWEEN = 3n * MILLISECOND
const LONG = 50n * MILLISECOND

/** The clocks of a tree that was read now. */
const clocksNow = (): Clocks => {
  const taken = native.clockGettime(MONOTONIC)
  return { taken, monotonic: taken, boottime: native.clockGettime(BOOTTIME), realtime: native.clockGettime(REALTIME) }
}

/** Whoever runs the program is interrupted after each look at a clock, or whatever else. */
function interrupted(program: Program, build: () => void, after = /gettime$|^getitimer/, ns = BETWEEN): void {
  const pause = program.bundle.words(0, ns)
  const callInto = program.callInto.bind(program)
  program.callInto = (out, name, args, expected): void => {
    callInto(out, name, args, expected)
    if (after.test(name)) callInto(program.bundle.cell('pause'), 'nanosleep', [pause, 0])
  }
  build()
  program.callInto = callInto
}

test('a POSIX timer of the original keeps its beat while its signal is counted', () => {
  const { output, status } = interpret((program, bundle) => {
    const set = bundle.words(1n << BigInt(SIGNAL - 1))
    const [setting, at] = [bundle.allocate(32), bundle.allocate(16)]
    program.call('rt_sigprocmask', [SIG_BLOCK, set, 0, SIGSET_BYTES])
    emitRestoreIds(program, true)
    emitPosixTimers(program, [wallTimer(0n)])
    const began = now(program, REALTIME)
    program.call('timer_settime', [0, 0, bundle.words(0, BEAT, 0, 1), 0])
    program.call('nanosleep', [bundle.words(0, BEAT / 2n), 0])
    const read = (): void => {
      program.call('timer_gettime', [0, setting])
      program.call('clock_gettime', [REALTIME, at])
    }
    let count = 0n
    const counting = (): void => void (count = countExpirations(program, { id: 0, signal: SIGNAL }, { setting, at }, read))
    interrupted(program, counting, /^rt_sigtimedwait/, LONG)
    program.call('rt_sigtimedwait', [set, 0, bundle.words(0, 0), SIGSET_BYTES], { equal: SIGNAL })
    program.call('timer_gettime', [0, setting])
    report(program, program.load(count, 8), began, program.sum(now(program, REALTIME), nanoseconds(program, setting + 16n)))
    program.call('exit_group', [0])
  })
  expect(status).toEqual(exited(0))
  const [count, began = 0n, due = 0n] = numbers(output)
  expect(count).toBe(1n)
  expect(due - began).toBeGreaterThanOrEqual(BEAT)
  expect((due - began) % BEAT).toBeLessThan(LONG)
})

/** ITIMER_REAL is told in whole microseconds, rounded down. */
test('an interval timer as it is read', () => {
  const marks: [bigint, bigint][] = []
  const none = { process: [], leader: [], others: [] }
  const decode: ReturnType<typeof askIntervalTimers>[] = []
  const { output, status } = interpret((program, bundle) => {
    for (let round = 0; round < 200; round++) {
      const start = bundle.allocate(8)
      program.store(start, now(program, MONOTONIC), 8)
      program.call('setitimer', [0, bundle.words(0, 0, 1000, 0), 0])
      decode.push(askIntervalTimers(program, process.pid, none))
      marks.push([start, bundle.allocate(0) - start])
    }
    for (const [start, length] of marks) program.call('write', [OUTPUT, start, length], { equal: length })
    program.call('exit_group', [0])
  })
  expect(status).toEqual(exited(0))
  let offset = 0
  const late = marks.map(([start, length], round) => {
    const from = offset
    offset += Number(length)
    const bytes = (address: bigint, size: number): Uint8Array =>
      Uint8Array.from(output.subarray(from + Number(address - start))).subarray(0, size)
    const [timer] = decode[round]!({ bytes, cell: () => 0n })
    return timer!.value - (output.readBigInt64LE(from) + 1000n * SECOND)
  })
  expect(late.filter((ns) => ns < 0n)).toEqual([])
})

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

/** What wakes the machine up takes CAP_WAKE_ALARM. */
function mayNot(clock: number): string | undefined {
  try {
    closeSync(Number(native.syscall('timerfd_create', [clock, 0])))
    return undefined
  } catch (error) {
    return `timerfd_create: ${String(error)}`
  }
}

/** A descriptor of a timer, set to a time of its clock (1) or to what is left (0). */
function timerDescriptor(clock: number, flags: number, [sec, ns]: readonly [bigint, bigint], interval = 0n): number {
  const fd = Number(native.syscall('timerfd_create', [clock, 0]))
  onTestFinished(() => closeSync(fd))
  native.syscall('timerfd_settime', [fd, flags, new Uint8Array(BigInt64Array.of(0n, interval, sec, ns).buffer), 0])
  return fd
}

/** Runs what is given while everybody is interrupted around each look at a descriptor of a timer. */
function whileInterrupted<T>(run: () => T): T {
  const syscall = native.syscall.bind(native)
  const wait = (): void => void syscall('nanosleep', [new Uint8Array(BigInt64Array.of(0n, BETWEEN).buffer), 0])
  const spy = vi.spyOn(native, 'syscall').mockImplementation((name, args) => {
    if (name !== 'timerfd_gettime') return syscall(name, args)
    wait()
    const result = syscall(name, args)
    wait()
    return result
  })
  try {
    return run()
  } finally {
    spy.mockRestore()
  }
}

const clocks: [string, number][] = [
  ['monotonic clock', MONOTONIC],
  ['boot clock', BOOTTIME],
  ['wall clock', REALTIME],
  ['alarm clock that goes by the wall', REALTIME_ALARM],
  ['alarm clock that goes by the boot', BOOTTIME_ALARM],
]
test.for(clocks)('a descriptor that is set to a time of the %s', ([, clock], { skip }) => {
  skip(mayNot(clock) !== undefined, mayNot(clock))
  const fd = timerDescriptor(clock, 1, [4_000_000_000n, 0n])
  const due = 4_000_000_000n * SECOND
  using own = new OwnTree()
  for (let look = 0; look < 20; look++) {
    const read = own.collect(fd)['due'] as bigint
    expect(read).toBeGreaterThanOrEqual(due)
    expect(read).toBeLessThan(due + 100n * MILLISECOND)
  }
  expect(whileInterrupted(() => own.collect(fd)['due'])).toBeGreaterThanOrEqual(due)
})

test.for(clocks)('a descriptor that is told what is left, by the %s', ([, clock], { skip }) => {
  skip(mayNot(clock) !== undefined, mayNot(clock))
  const before = native.clockGettime(MONOTONIC)
  const fd = timerDescriptor(clock, 0, [1000n, 0n], 7n * MILLISECOND)
  using own = new OwnTree()
  expect(own.collect(fd)['due']).toBeGreaterThanOrEqual(before + 1000n * SECOND)
  expect(whileInterrupted(() => own.collect(fd)['due'])).toBeGreaterThanOrEqual(before + 1000n * SECOND)
})
