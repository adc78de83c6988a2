/** Clocks (time_namespaces(7)): monotonic and boot time go on from where they stood. */
import { readFileSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { Clocks } from '../image/model.js'
import type { Argument, Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import { sleepFor } from '../program/waiting.js'
import type { Support } from './support.js'

export const support: Support = { topic: 'around the tree', carried: 'monotonic and boot clocks go on' }

const CLOCK_REALTIME = 0
const CLOCK_MONOTONIC = 1
const CLOCK_BOOTTIME = 7
const SECOND = 1_000_000_000n
const TIMESPEC_BYTES = 16
/** Nanoseconds that two looks at a clock and the setting of a timer take at most, when nobody else runs in between. */
const AT_ONCE = 100_000n
/** The same for looks at several clocks by the dumper. */
const CLOSE = 2_000n
const MOST_TRIES = 10
/** What is left of a timer that is overdue, in its own unit (common_timer_get, itimer_get_remtime). */
const LEAST_LEFT = 1
const PAUSE_NS = 50_000
/** A tenth of a second. */
const MOST_PAUSES = 2000

/** The clocks as a process sees them now, in whatever time namespace it is. */
export function collectClocks(pid: number): Clocks {
  const [offsets, own] = [offsetsOf(pid), offsetsOf(process.pid)]
  const { after, boottime, realtime } = lookAtClocks()
  return {
    taken: after,
    monotonic: after + offsets.monotonic - own.monotonic,
    // Not after the monotonic one: boot time that is ahead of it would make its timers early.
    boottime: boottime + offsets.boottime - own.boottime,
    realtime,
  }
}

interface Look {
  /** The monotonic clock before and after the others. */
  readonly before: bigint
  readonly after: bigint
  readonly boottime: bigint
  readonly realtime: bigint
}

/** The dumper's clocks at one moment: the closest of several looks, if none is close. */
function lookAtClocks(): Look {
  let closest: Look | undefined
  for (let tries = 0; closest === undefined || (closest.after - closest.before > CLOSE && tries < MOST_TRIES); tries++) {
    const before = native.clockGettime(CLOCK_MONOTONIC)
    const boottime = native.clockGettime(CLOCK_BOOTTIME)
    const realtime = native.clockGettime(CLOCK_REALTIME)
    const after = native.clockGettime(CLOCK_MONOTONIC)
    if (closest === undefined || after - before < closest.after - closest.before) closest = { before, after, boottime, realtime }
  }
  return closest
}

/** Later than any clock that can be set: half of what the kernel counts (proc_timens_set_offset, kernel/time/namespace.c). */
const CLOCK_END = 1n << 62n

export function verifyClocks(clocks: Clocks, require: (fits: boolean, otherwise: string) => void): void {
  for (const [name, time] of Object.entries(clocks) as [string, bigint][])
    require(time >= 0n && time < CLOCK_END, `its ${name} clock cannot stand at ${time}`)
}

/** What the time namespace of a process adds to the machine's clocks. */
export function offsetsOf(pid: number): { monotonic: bigint; boottime: bigint } {
  const text = readFileSync(`/proc/${pid}/timens_offsets`, 'utf8')
  const offset = (clock: string): bigint => {
    const match = new RegExp(`^${clock}\\s+(-?\\d+)\\s+(-?\\d+)`, 'm').exec(text)
    return BigInt(match?.[1] ?? 0) * 1_000_000_000n + BigInt(match?.[2] ?? 0)
  }
  return { monotonic: offset('monotonic'), boottime: offset('boottime') }
}

/** What is written to timens_offsets of a namespace nobody entered yet, so that its clocks stand where the image's stood. */
export function offsetsFor(clocks: Clocks): string {
  const own = offsetsOf(process.pid)
  const line = (name: string, wanted: bigint, now: bigint): string => {
    const offset = wanted - now
    const seconds = offset >= 0n ? offset / 1_000_000_000n : -((-offset + 999_999_999n) / 1_000_000_000n)
    return `${name} ${seconds} ${offset - seconds * 1_000_000_000n}\n`
  }
  const { before, boottime } = lookAtClocks()
  // Not before the monotonic one: what is taken from boot time is rather too much, as its timers may be late, but not early.
  return line('monotonic', clocks.monotonic, before - own.monotonic) + line('boottime', clocks.boottime, boottime - own.boottime)
}

/** The time of a clock, in nanoseconds. */
export function now(program: Program, clock: number): Cell {
  const time = program.bundle.allocate(TIMESPEC_BYTES)
  program.call('clock_gettime', [clock, time])
  return nanoseconds(program, time)
}

/** Of the struct timespec at an address. */
export function nanoseconds(program: Program, address: bigint): Cell {
  return program.sum(program.product(program.load(address, 8), SECOND), program.load(address + 8n, 8))
}

/** Writes a time as seconds and units of so many nanoseconds, rounded up: a timespec, or a timeval (1000n). */
export function storeTime(program: Program, address: bigint, time: Argument, unit = 1n): void {
  const units = unit === 1n ? time : program.quotient(program.sum(time, unit - 1n), unit)
  const seconds = program.quotient(units, SECOND / unit)
  program.store(address, seconds, 8)
  program.store(address + 8n, program.sum(units, program.product(seconds, -SECOND / unit)), 8)
}

/** When by CLOCK_MONOTONIC of the copy something is due that is due at this time of `SeenTree.now`. */
export const dueInCopy = ({ monotonic, taken }: Clocks, due: bigint): bigint => due - taken + monotonic

/** What is left, at this moment behind the gate, of what is due at this time of `SeenTree.now`; at least 1 ns, as zero would disarm a timer. */
export function timeLeft(program: Program, clocks: Clocks, due: bigint): Cell {
  return atLeastOne(program, difference(program, dueInCopy(clocks, due), now(program, CLOCK_MONOTONIC)))
}

export const difference = (program: Program, from: Argument, what: Argument): Cell => program.sum(from, program.product(what, -1))

function atLeastOne(program: Program, value: Cell): Cell {
  const chosen = program.bundle.allocate(8)
  program.store(chosen, 1, 8)
  const over = program.jump(0, 'less', value, 1)
  program.store(chosen, value, 8)
  over.target = program.here
  return program.load(chosen, 8)
}

/**
 * Reads what is left of a timer, again while it is overdue: its interrupt may come late, and until then the kernel tells the least that there is, from which it
 * does not follow when it was due.
 *
 * @param left where `read` puts it: seconds, then nanoseconds or microseconds
 */
export function onceTold(program: Program, read: () => void, left: bigint): void {
  const tries = program.bundle.words(0)
  const again = program.here
  read()
  const told = program.jump(0, 'not-equal', nanoseconds(program, left), LEAST_LEFT)
  sleepFor(program, PAUSE_NS)
  program.store(tries, program.sum(program.load(tries, 8), 1), 8)
  program.jump(again, 'less', program.load(tries, 8), MOST_PAUSES)
  told.target = program.here
}

/**
 * Sets something by the time that it is, again when somebody else has run between the look at the clock and the setting.
 *
 * @param set emitted once, run as often as need be
 */
export function promptly(program: Program, set: () => void): void {
  const tries = program.bundle.allocate(8)
  program.store(tries, 0, 8)
  const again = program.here
  const before = now(program, CLOCK_MONOTONIC)
  set()
  const passed = difference(program, now(program, CLOCK_MONOTONIC), before)
  const prompt = program.jump(0, 'less', passed, AT_ONCE)
  program.store(tries, program.sum(program.load(tries, 8), 1), 8)
  program.jump(again, 'less', program.load(tries, 8), MOST_TRIES)
  prompt.target = program.here
}
