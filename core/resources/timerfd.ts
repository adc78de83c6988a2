/** timerfd_create(2). A timer keeps what was left of it; one that was set to a time of its clock stays set to that time. */
import { native } from '../../native/index.js'
import { fdInfoField, readFdInfo } from '../proc/fdinfo.js'
import { offsetsOf } from './clocks.js'
import { defineKind, homeOf } from './description.js'
import type { DescriptionKind, Emitter, SeenDescription } from './description.js'
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
const TFD_IOC_SET_TICKS = 0x4008_5400
const CLOCK_MONOTONIC = 1
const CLOCK_BOOTTIME = 7
const CLOCK_BOOTTIME_ALARM = 9
const NS = 1_000_000_000n

export const timerFd: DescriptionKind<unknown> = defineKind<TimerFd>({
  name: 'timerfd',
  support: { topic: 'descriptors', carried: 'timerfd' },

  recognises: ({ link }) => link === 'anon_inode:[timerfd]',

  collect(seen, tree) {
    // Asking also moves an interval timer that has expired unread on to its next expiration, as a read by the process would.
    const { interval, left } = timeLeft(seen)
    const { lines } = seen.info
    const clock = Number(fdInfoField(lines, 'clockid') ?? 0)
    const settings = Number.parseInt(fdInfoField(lines, 'settime flags') ?? '0', 8)
    return { clock, settings, interval, due: left === 0n ? 0n : dueTime(seen, clock, settings, tree.now(), left), ticks: ticksOf(seen) }
  },

  open: ({ clock }, emitter) => emitter.raise(emitter.program.call('timerfd_create', [clock, O_CLOEXEC])),

  arm(timer, emitter, _placements, self) {
    if (timer.due === 0n && timer.ticks === 0n && timer.settings === 0) return
    const { program } = emitter
    const { value, ticks } = settingOf(timer, emitter)
    const setting = program.bundle.words(timer.interval / NS, timer.interval % NS, value / NS, value % NS)
    program.call('timerfd_settime', [self, timer.settings, setting, 0])
    // After the setting, which clears them.
    if (ticks !== 0n) program.call('ioctl', [self, TFD_IOC_SET_TICKS, program.bundle.words(ticks)])
  },
})

/** Between the look at a timer and the moment its clock goes on from, it may have expired, once or several times. */
function settingOf({ settings, interval, due, ticks }: TimerFd, { clocks, remaining }: Emitter): { value: bigint; ticks: bigint } {
  const absolute = (settings & TFD_TIMER_ABSTIME) !== 0
  if (due === 0n || absolute) return { value: due, ticks }
  const late = clocks.taken - due
  if (interval === 0n || late < 0n) return { value: remaining(due), ticks }
  const missed = late / interval + 1n
  return { value: remaining(due + missed * interval), ticks: ticks + missed }
}

function timeLeft(seen: SeenDescription): { interval: bigint; left: bigint } {
  const bytes = new Uint8Array(32)
  native.syscall('timerfd_gettime', [seen.duplicate(), bytes])
  const [intervalSec = 0n, intervalNs = 0n, sec = 0n, ns = 0n] = new BigInt64Array(bytes.buffer)
  return { interval: intervalSec * NS + intervalNs, left: sec * NS + ns }
}

function dueTime(seen: SeenDescription, clock: number, settings: number, now: bigint, left: bigint): bigint {
  if ((settings & TFD_TIMER_ABSTIME) === 0) return now + left
  return native.clockGettime(clock) + timeOffset(homeOf(seen).pid, clock) - timeOffset(process.pid, clock) + left
}

/** What a time namespace adds to the clock (time_namespaces(7)): nothing to the wall clock. */
function timeOffset(pid: number, clock: number): bigint {
  if (clock === CLOCK_MONOTONIC) return offsetsOf(pid).monotonic
  return clock === CLOCK_BOOTTIME || clock === CLOCK_BOOTTIME_ALARM ? offsetsOf(pid).boottime : 0n
}

/** After `timeLeft`, which may add to them. */
function ticksOf({ process, fd }: SeenDescription): bigint {
  return BigInt(fdInfoField(readFdInfo(process.pid, fd).lines, 'ticks') ?? 0)
}
