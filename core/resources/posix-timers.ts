/** timer_create(2): timers of a process, with their ids. */
import { readdirSync, readFileSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { ParasiteResults } from '../checkpoint/parasite.js'
import { RestoreError, UnsupportedError } from '../errors.js'
import type { Clocks, ImageModel, PosixTimer } from '../image/model.js'
import type { Argument, Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import { difference, dueInCopy, nanoseconds, now, offsetsOf, onceTold, promptly, storeTime } from './clocks.js'
import { armExpired, armOverrun, countExpirations } from './timer-expirations.js'
import { emitCreated, isOf, signalOf } from './timer-signals.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'task',
  carried: 'POSIX timers with their ids and overruns',
  conditions: [
    'A signal of a one-shot timer that was disarmed (not deleted) while it waited reaches the copy; Linux drops it where it is taken.',
    'A POSIX timer that was set to a time of the wall clock (`TIMER_ABSTIME`) comes back with what was left of it, since Linux does not tell it from others: it is due later by as long as the image was laid aside, and does not follow the clock when that is set. A timerfd keeps the time that it was set to.',
  ],
  refused: {
    THAW_TIMER_OVERRUN: 'timers that have overrun and have sent their signal again',
    THAW_TIMER_CLOCK: "timers on CLOCK_THREAD_CPUTIME_ID in a process with threads, and on a device's clock",
  },
}

const CLOCK_MONOTONIC = 1
const SIGEV_SIGNAL = 0
const SIGEV_NONE = 1
const SIGEV_THREAD_ID = 4
/** prctl(2), since Linux 6.16: timer_create takes the id from where it would write it. */
const PR_TIMER_CREATE_RESTORE_IDS = 77
const ITIMERSPEC_BYTES = 32
const TIMESPEC_BYTES = 16
const TIMER_ABSTIME = 1

type Settings = Omit<PosixTimer, 'interval' | 'value' | 'overrun' | 'waiting'>

/** Signals that are pending in the stopped process: siginfo_t. */
export interface PendingSignals {
  readonly process: readonly Uint8Array[]
  /** Those of the leader, who runs the parasite. */
  readonly leader: readonly Uint8Array[]
  readonly others: readonly Uint8Array[]
}

/** Timers as /proc/PID/timers lists them. Thread ids are as the dumper sees them: `innerTid` translates. */
function listed(pid: number, innerTid: (tid: number) => number): Settings[] {
  const timers: Settings[] = []
  for (const block of readFileSync(`/proc/${pid}/timers`, 'utf8').split(/^(?=ID:)/m)) {
    const id = /^ID: (\d+)/.exec(block)?.[1]
    const signal = /^signal: (\d+)\/([0-9a-fA-FxX]+|\(null\))/m.exec(block)
    const notify = /^notify: (\w+)\/(pid|tid)\.(\d+)/m.exec(block)
    const clock = /^ClockID: (-?\d+)/m.exec(block)?.[1]
    if (id === undefined || signal === null || notify === null || clock === undefined) continue
    const how = notify[1] === 'none' ? SIGEV_NONE : notify[2] === 'tid' ? SIGEV_THREAD_ID : SIGEV_SIGNAL
    timers.push({
      id: Number(id),
      clock: Number(clock),
      notify: how,
      signal: Number(signal[1]),
      valuePointer: pointer(signal[2] ?? '0'),
      thread: how === SIGEV_THREAD_ID ? innerTid(Number(notify[3])) : 0,
    })
  }
  return timers
}

const pointer = (text: string): bigint => (/^[0-9a-f]+$/i.test(text) ? BigInt(`0x${text}`) : 0n)

export function askPosixTimers(
  program: Program,
  pid: number,
  innerTid: (tid: number) => number,
  pending: PendingSignals,
): (results: ParasiteResults) => PosixTimer[] {
  const timers = listed(pid, innerTid)
  const answers = timers.map((timer) => {
    refuseClock(pid, timer)
    const address = program.bundle.allocate(ITIMERSPEC_BYTES)
    const where = pendingOf(timer, pending)
    const [stamp, at] = [program.bundle.allocate(TIMESPEC_BYTES), program.bundle.allocate(TIMESPEC_BYTES)]
    // The clocks last: what comes between makes it late, never early.
    const look = (): void =>
      promptly(program, () => {
        program.call('timer_gettime', [timer.id, address])
        // That of a process which has ended is there no more.
        if (where === 'alone') program.call('clock_gettime', [timer.clock, at], 'any')
        program.call('clock_gettime', [CLOCK_MONOTONIC, stamp])
      })
    // One by the processor time of a process that stands still stays as it is.
    const read = (): void => (isProcessorTime(timer.clock) ? look() : onceTold(program, look, address + BigInt(TIMESPEC_BYTES)))
    read()
    const overrun = program.call('timer_getoverrun', [timer.id])
    const count = where === 'alone' ? emitCount(program, timer, { setting: address, at }, read, overrun) : undefined
    return { timer, address, stamp, overrun, where, count }
  })
  const toDumper = offsetsOf(process.pid).monotonic - offsetsOf(pid).monotonic
  return (results) => {
    const found = answers.map(({ timer, address, stamp, overrun, where, count }) => {
      const interval = timeAt(results, address)
      const left = timeAt(results, address + BigInt(TIMESPEC_BYTES))
      // Processor time stands still with the process.
      const value = left === 0n || isProcessorTime(timer.clock) ? left : timeAt(results, stamp) + toDumper + left
      const waiting = count === undefined ? 0n : (new BigUint64Array(results.bytes(count, 8).slice().buffer)[0] ?? 0n)
      const read = { ...timer, interval, value, overrun: Number(results.cell(overrun)), waiting }
      refuseUncounted(pid, read, where, innerTid(pid))
      return read
    })
    refuseTwins(pid, found)
    return found
  }
}

/** A struct timespec, in nanoseconds. */
function timeAt(results: ParasiteResults, address: bigint): bigint {
  const [sec = 0n, ns = 0n] = new BigInt64Array(results.bytes(address, TIMESPEC_BYTES).slice().buffer)
  return sec * 1_000_000_000n + ns
}

/** Where the signal of a timer is pending: nowhere, as the only one of its number that the leader would be given, or else. */
type Where = 'nowhere' | 'alone' | 'elsewhere'

function pendingOf(timer: Settings, { process, leader, others }: PendingSignals): Where {
  const within = process.concat(leader)
  if (others.some((info) => isOf(info, timer))) return 'elsewhere'
  if (!within.some((info) => isOf(info, timer))) return 'nowhere'
  return within.filter((info) => signalOf(info) === timer.signal).length === 1 ? 'alone' : 'elsewhere'
}

/** Only of interval timers, and not where the overrun of an earlier delivery would be lost. */
function emitCount(
  program: Program,
  timer: Settings,
  told: { readonly setting: bigint; readonly at: bigint },
  read: () => void,
  overrun: Cell,
): bigint {
  const once = program.jump(0, 'equal', nanoseconds(program, told.setting), 0)
  const counted = program.jump(0, 'not-equal', overrun, 0)
  const count = countExpirations(program, timer, told, read)
  once.target = program.here
  counted.target = program.here
  return count
}

function refuseUncounted(pid: number, timer: PosixTimer, where: Where, leader: number): void {
  if (timer.interval === 0n) return
  if (timer.overrun !== 0 && where !== 'nowhere')
    throw uncounted(pid, `POSIX timer ${timer.id} has overrun ${timer.overrun} times, and has sent its signal again since`)
  if (timer.overrun !== 0 && timer.thread !== 0 && timer.thread !== leader)
    throw uncounted(pid, `POSIX timer ${timer.id}, whose signal is sent to thread ${timer.thread}, has overrun ${timer.overrun} times`)
  if (where === 'elsewhere')
    throw uncounted(
      pid,
      `the signal of POSIX timer ${timer.id} is pending beside others of its number, or in a thread that is not the first`,
    )
}

/** Each is counted by taking its signal, and would be given the other's. */
function refuseTwins(pid: number, timers: readonly PosixTimer[]): void {
  const overrun = timers.filter((timer) => timer.overrun !== 0)
  const twin = overrun.find(({ signal, id }) => overrun.some((other) => other.signal === signal && other.id < id))
  if (twin !== undefined) throw uncounted(pid, `POSIX timer ${twin.id} and another with the same signal have overrun`)
}

function uncounted(pid: number, what: string): UnsupportedError {
  return new UnsupportedError(
    'THAW_TIMER_OVERRUN',
    `Cannot checkpoint pid ${pid}: ${what}, which cannot be counted again. Give its signal time to be taken, or delete the timer.`,
    { pid },
  )
}

/** Whether timers of the process get the ids that they ask for. */
export function emitRestoreIds(program: Program, on: boolean): void {
  program.for('POSIX timers', () => program.call('prctl', [PR_TIMER_CREATE_RESTORE_IDS, on ? 1 : 0, 0, 0, 0]))
}

/** The kernel lists the newest first; created in the old order, they are listed in it again. */
export function emitPosixTimers(program: Program, timers: readonly PosixTimer[]): void {
  program.for('POSIX timers', () => {
    for (const timer of timers.toReversed()) emitCreated(program, timer)
  })
}

/** Whether this machine is up for long enough to count what has expired. @throws RestoreError THAW_TIMER_OVERRUN */
export function requireUptime({ processes, clocks }: ImageModel): void {
  for (const { posixTimers } of processes) for (const timer of posixTimers.filter(isArmed)) refuseBeforeBoot(timer, clocks)
}

/** The kernel counts from the boot of this machine at most: what a time namespace puts before that, it takes for the boot. */
function refuseBeforeBoot({ id, clock, interval, value, overrun, waiting }: PosixTimer, { taken }: Clocks): void {
  const left = value - taken
  const times = overrun === 0 ? waiting : BigInt(overrun) + 1n
  if (!(clock in SINCE_BOOT) || times === 0n || times * interval - left < native.clockGettime(CLOCK_MONOTONIC)) return
  throw new RestoreError(
    'THAW_TIMER_OVERRUN',
    `Cannot restore: POSIX timer ${id} has been due for longer than this machine is up, so its overrun of ${times - 1n} cannot be counted again. Restore it later.`,
  )
}

/** Clocks that go on from where they stood, and so can be told a moment. The others are told what is left. */
const SINCE_BOOT: Readonly<Record<number, 'monotonic' | 'boottime'>> = { 1: 'monotonic', 7: 'boottime', 9: 'boottime' }
/**
 * Processor time of a task: its id, inverted and shifted by three bits (0 for the caller's own), and which time it is
 * (include/linux/posix-timers_types.h). The id is as the process gave it.
 */
const isProcessorTime = (clock: number): boolean => clock < 0
/** CLOCK_THREAD_CPUTIME_ID, as the kernel keeps it: of the thread that made the timer, whichever that was. */
const OWN_THREAD = -2
const CLOCK_KIND = 7
const OF_A_DEVICE = 3

function refuseClock(pid: number, { id, clock }: Settings): void {
  const isDevice = clock < 0 && (clock & CLOCK_KIND) === OF_A_DEVICE
  if (!isDevice && (clock !== OWN_THREAD || readdirSync(`/proc/${pid}/task`).length === 1)) return
  const whose = isDevice ? 'a device' : 'the processor time of the thread that made it, which cannot be told'
  throw new UnsupportedError(
    'THAW_TIMER_CLOCK',
    `Cannot checkpoint pid ${pid}: POSIX timer ${id} runs on ${whose}. Delete it before the checkpoint, or make it for a thread by its clock (pthread_getcpuclockid).`,
    { pid },
  )
}

const isArmed = ({ value }: PosixTimer): boolean => value !== 0n

/** By the leader, with all signals blocked, before any is pending: what takes signals must not be given those of others. */
export function armOverrunTimers(program: Program, timers: readonly PosixTimer[], clocks: Clocks): void {
  program.for('POSIX timers', () => {
    for (const timer of timers.filter((candidate) => isArmed(candidate) && candidate.overrun !== 0))
      armOverrun(program, timer, () => dueTime(program, timer, clocks), timer.overrun)
  })
}

/** All others, once signals are pending: one that was set anew since it has sent its own. */
export function armPosixTimers(program: Program, timers: readonly PosixTimer[], clocks: Clocks): void {
  program.for('POSIX timers', () => {
    for (const timer of timers.filter((candidate) => isArmed(candidate) && candidate.overrun === 0)) {
      if (timer.waiting !== 0n) armExpired(program, timer, dueTime(program, timer, clocks), timer.waiting)
      else arm(program, timer, clocks)
    }
  })
}

/** When it is due next, by its own clock. */
function dueTime(program: Program, { clock, value }: PosixTimer, clocks: Clocks): Argument {
  const base = SINCE_BOOT[clock]
  if (base !== undefined) return value - clocks.taken + clocks[base]
  if (isProcessorTime(clock)) return program.sum(now(program, clock), value)
  const due = program.bundle.allocate(8)
  promptly(program, () => {
    // Before the timer's own clock: what comes between makes it late, never early.
    const left = difference(program, dueInCopy(clocks, value), now(program, CLOCK_MONOTONIC))
    program.store(due, program.sum(now(program, clock), left), 8)
  })
  return program.load(due, 8)
}

function arm(program: Program, timer: PosixTimer, clocks: Clocks): void {
  const { id, clock, interval, value } = timer
  const set = (flags: number, setting: bigint): unknown => program.call('timer_settime', [id, flags, setting, 0])
  const base = SINCE_BOOT[clock]
  if (base !== undefined)
    return void set(TIMER_ABSTIME, program.bundle.words(...timespec(interval), ...timespec(value - clocks.taken + clocks[base])))
  if (isProcessorTime(clock)) return void set(0, program.bundle.words(...timespec(interval), ...timespec(value)))
  const setting = program.bundle.words(...timespec(interval), 0, 0)
  const due = dueTime(program, timer, clocks)
  promptly(program, () => {
    const left = difference(program, due, now(program, clock))
    const over = program.jump(0, 'less', left, 1)
    storeTime(program, setting + 16n, left)
    set(0, setting)
    const done = program.jump(0)
    over.target = program.here
    // The kernel counts from when it was due.
    storeTime(program, setting + 16n, due)
    set(TIMER_ABSTIME, setting)
    done.target = program.here
  })
}

const timespec = (ns: bigint): [bigint, bigint] => [ns / 1_000_000_000n, ns % 1_000_000_000n]
