/** timerfd_create(2). A timer keeps what was left of it; one that was set to a time of its clock stays set to that time. */
import { native } from '../../native/index.js'
import type { Clocks } from '../image/model.js'
import type { Argument, Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import { pause } from '../checkpoint/pause.js'
import { fdInfoField, readFdInfo } from '../proc/fdinfo.js'
import { difference, dueInCopy, now, offsetsOf, promptly, storeTime, timeLeft } from './clocks.js'
import { defineKind, homeOf } from './description.js'
import type { DescriptionKind, SeenDescription, SeenTree } from './description.js'
import { O_CLOEXEC } from './open-flags.js'

export interface TimerFd {
  clock: number
  /** TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET. */
  settings: number
  interval: bigint
  /** 0: not armed. With TFD_TIMER_ABSTIME a time of `clock` as the process sees it, else one of `SeenTree.now`. */
  due: bigint
  /** Expirations that were not read yet. */
  ticks: bigint
}

const TFD_TIMER_ABSTIME = 1
/** _IOW('T', 0, __u64), since Linux 3.17. */
export const TFD_IOC_SET_TICKS = 0x4008_5400
const CLOCK_REALTIME = 0
const CLOCK_MONOTONIC = 1
const CLOCK_BOOTTIME = 7
const CLOCK_REALTIME_ALARM = 8
const CLOCK_BOOTTIME_ALARM = 9
const NS = 1_000_000_000n
/** Nanoseconds that a look at a timer and its clock takes at most, when nobody else runs in between. */
const AT_ONCE = 2_000n
const MOST_TRIES = 10

export const timerFd: DescriptionKind<unknown> = defineKind<TimerFd>({
  name: 'timerfd',
  support: { topic: 'descriptors', carried: 'timerfd' },

  recognises: ({ link }) => link === 'anon_inode:[timerfd]',

  collect(seen, tree) {
    const { lines } = seen.info
    const clock = Number(fdInfoField(lines, 'clockid') ?? 0)
    const settings = Number.parseInt(fdInfoField(lines, 'settime flags') ?? '0', 8)
    const absolute = (settings & TFD_TIMER_ABSTIME) !== 0
    const { ticks, reading } = readTogether(seen, tree, absolute ? plain(clock) : CLOCK_MONOTONIC)
    const { interval, left, at } = reading
    const offset = absolute ? timeOffset(homeOf(seen).pid, clock) - timeOffset(process.pid, clock) : 0n
    const timer = { clock, settings, interval, due: left === 0n ? 0n : at + offset + left, ticks }
    // It may be overdue: then nothing is left, and nothing was counted yet.
    if (timer.due === 0n && ticks === 0n) tree.askInside(seen.process, () => () => void (timer.ticks = ticksOf(seen)), 'last')
    return timer
  },

  open: ({ clock }, emitter) => emitter.raise(emitter.program.call('timerfd_create', [clock, O_CLOEXEC])),

  arm(timer, { program, clocks }, _placements, self) {
    const { due, interval, settings, ticks } = timer
    if (due === 0n && ticks === 0n && settings === 0) return
    const absolute = (settings & TFD_TIMER_ABSTIME) !== 0
    if (due !== 0n && !(absolute && interval === 0n)) return promptly(program, () => armByClock(program, timer, clocks, self))
    program.call('timerfd_settime', [self, settings, program.bundle.words(interval / NS, interval % NS, due / NS, due % NS), 0])
    if (ticks !== 0n) program.call('ioctl', [self, TFD_IOC_SET_TICKS, program.bundle.words(ticks)])
  },
})

/** What it has been due meanwhile is counted, and it goes on by the same beat. */
function armByClock(program: Program, { clock, due, interval, settings, ticks }: TimerFd, clocks: Clocks, self: Cell): void {
  const setting = program.bundle.words(interval / NS, interval % NS, 0, 0)
  const counted = program.bundle.allocate(8)
  program.store(counted, ticks, 8)
  const absolute = (settings & TFD_TIMER_ABSTIME) !== 0
  if (interval === 0n) storeTime(program, setting + 16n, timeLeft(program, clocks, due))
  else {
    const next = absolute ? due : dueInCopy(clocks, due)
    const time = now(program, absolute ? plain(clock) : CLOCK_MONOTONIC)
    storeTime(program, setting + 16n, nextPeriod(program, { next, time, interval, counted, absolute }))
  }
  program.call('timerfd_settime', [self, settings, setting, 0])
  // After the setting, which clears them.
  const none = program.jump(0, 'equal', program.load(counted, 8), 0)
  program.call('ioctl', [self, TFD_IOC_SET_TICKS, counted])
  none.target = program.here
}

interface Period {
  readonly next: bigint
  readonly time: Argument
  readonly interval: bigint
  /** Address of a number that the missed expirations are added to. */
  readonly counted: bigint
  readonly absolute: boolean
}

function nextPeriod(program: Program, { next, time, interval, counted, absolute }: Period): Cell {
  const value = program.bundle.allocate(8)
  const late = difference(program, time, next)
  program.store(value, absolute ? next : difference(program, 0, late), 8)
  const early = program.jump(0, 'less', late, 0)
  const missed = program.sum(program.quotient(late, interval), 1)
  program.store(counted, program.sum(program.load(counted, 8), missed), 8)
  const further = program.product(missed, interval)
  program.store(value, absolute ? program.sum(further, next) : difference(program, further, late), 8)
  early.target = program.here
  return program.load(value, 8)
}

/** When it expires next, and by which clock of the copy; undefined when it does not any more. */
export function nextDue({ clock, due, settings }: TimerFd, clocks: Clocks): { readonly clock: number; readonly time: bigint } | undefined {
  if (due === 0n) return undefined
  return (settings & TFD_TIMER_ABSTIME) !== 0
    ? { clock: plain(clock), time: due }
    : { clock: CLOCK_MONOTONIC, time: dueInCopy(clocks, due) }
}

interface Reading {
  readonly interval: bigint
  readonly left: bigint
  /** When, by the clock that the timer is kept by, as the dumper sees it. */
  readonly at: bigint
}

/**
 * What is left, and what was counted, at one moment. Asking moves an interval timer that has expired unread on to its next expiration, as a read by
 * the process would; if nothing is left of one, it is overdue: its interrupt may come late.
 */
function readTogether(seen: SeenDescription, tree: SeenTree, clock: number): { ticks: bigint; reading: Reading } {
  for (let tries = 0; ; tries++) {
    const before = ticksOf(seen)
    const reading = readTimeLeft(seen, tree, clock)
    const ticks = ticksOf(seen)
    const isOverdue = reading.interval !== 0n && reading.left === 0n
    if ((ticks === before && !isOverdue) || tries === MOST_TRIES) return { ticks, reading }
    if (isOverdue) pause(1)
  }
}

/** The closest of several looks, if none is close. The clock comes after what is left: what comes between makes the timer late, never early. */
function readTimeLeft(seen: SeenDescription, tree: SeenTree, clock: number): Reading {
  const fd = seen.duplicate()
  let closest: { readonly bytes: Uint8Array; readonly at: bigint; readonly passed: bigint } | undefined
  for (let tries = 0; closest === undefined || (closest.passed > AT_ONCE && tries < MOST_TRIES); tries++) {
    const bytes = new Uint8Array(32)
    const before = tree.now()
    native.syscall('timerfd_gettime', [fd, bytes])
    const at = native.clockGettime(clock)
    const passed = tree.now() - before
    if (closest === undefined || passed < closest.passed) closest = { bytes, at, passed }
  }
  const [intervalSec = 0n, intervalNs = 0n, sec = 0n, ns = 0n] = new BigInt64Array(closest.bytes.buffer)
  return { interval: intervalSec * NS + intervalNs, left: sec * NS + ns, at: closest.at }
}

/** A clock that wakes the machine up shows the time of another, and cannot be read itself where nothing could wake it up. */
function plain(clock: number): number {
  if (clock === CLOCK_REALTIME_ALARM) return CLOCK_REALTIME
  return clock === CLOCK_BOOTTIME_ALARM ? CLOCK_BOOTTIME : clock
}

/** What a time namespace adds to the clock (time_namespaces(7)): nothing to the wall clock. */
function timeOffset(pid: number, clock: number): bigint {
  if (clock === CLOCK_MONOTONIC) return offsetsOf(pid).monotonic
  return plain(clock) === CLOCK_BOOTTIME ? offsetsOf(pid).boottime : 0n
}

/** After `readTimeLeft`, which may add to them. */
function ticksOf({ process, fd }: SeenDescription): bigint {
  return BigInt(fdInfoField(readFdInfo(process.pid, fd).lines, 'ticks') ?? 0)
}
