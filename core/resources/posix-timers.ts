/** timer_create(2): timers of a process, with their ids. */
import { readFileSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { ParasiteResults } from '../checkpoint/parasite.js'
import { UnsupportedError } from '../errors.js'
import type { PosixTimer } from '../image/model.js'
import type { Program } from '../program/program.js'

const CLOCK_MONOTONIC = 1
const SIGEV_SIGNAL = 0
const SIGEV_NONE = 1
const SIGEV_THREAD_ID = 4
/** prctl(2), since Linux 6.16: timer_create takes the id from where it would write it. */
const PR_TIMER_CREATE_RESTORE_IDS = 77
const SIGEVENT_BYTES = 64
const ITIMERSPEC_BYTES = 32

type Settings = Omit<PosixTimer, 'interval' | 'value'>

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
): (results: ParasiteResults) => PosixTimer[] {
  const timers = listed(pid, innerTid)
  const answers = timers.map((timer) => {
    if (timer.clock < 0)
      throw new UnsupportedError(
        'THAW_TIMER_CLOCK',
        `Cannot checkpoint pid ${pid}: POSIX timer ${timer.id} runs on the processor time of a task, which is not carried. Delete it before the checkpoint.`,
        { pid },
      )
    const address = program.bundle.allocate(ITIMERSPEC_BYTES)
    program.call('timer_gettime', [timer.id, address])
    return { timer, address, overrun: program.call('timer_getoverrun', [timer.id]) }
  })
  return (results) =>
    answers.map(({ timer, address, overrun }) => {
      // The kernel counts it at the delivery of the timer's signal, and has no call that sets it.
      if (results.cell(overrun) !== 0n)
        throw new UnsupportedError(
          'THAW_TIMER_OVERRUN',
          `Cannot checkpoint pid ${pid}: POSIX timer ${timer.id} has overrun ${results.cell(overrun)} times, which cannot be restored. Give its signal time to be taken, or delete the timer.`,
          { pid },
        )
      const [intervalSec = 0n, intervalNs = 0n, sec = 0n, ns = 0n] = new BigInt64Array(
        results.bytes(address, ITIMERSPEC_BYTES).slice().buffer,
      )
      const left = sec * 1_000_000_000n + ns
      const value = left === 0n ? 0n : native.clockGettime(CLOCK_MONOTONIC) + left
      return { ...timer, interval: intervalSec * 1_000_000_000n + intervalNs, value }
    })
}

/** Created with their ids before the gate, armed with what was left behind it. */
export function emitPosixTimers(program: Program, timers: readonly PosixTimer[]): void {
  if (timers.length === 0) return
  program.for('POSIX timers', () => {
    program.call('prctl', [PR_TIMER_CREATE_RESTORE_IDS, 1, 0, 0, 0])
    // The kernel lists the newest first; created in the old order, they are listed in it again.
    for (const timer of timers.toReversed()) {
      const id = program.bundle.bytes(Uint8Array.from(new Uint8Array(Int32Array.of(timer.id).buffer)))
      program.call('timer_create', [timer.clock, program.bundle.bytes(sigevent(timer)), id])
    }
    program.call('prctl', [PR_TIMER_CREATE_RESTORE_IDS, 0, 0, 0, 0])
  })
}

export function armPosixTimers(program: Program, timers: readonly PosixTimer[], remaining: (due: bigint) => bigint): void {
  program.for('POSIX timers', () => {
    for (const { id, interval, value } of timers.filter((timer) => timer.value !== 0n))
      program.call('timer_settime', [id, 0, program.bundle.words(...timespec(interval), ...timespec(remaining(value))), 0])
  })
}

const timespec = (ns: bigint): [bigint, bigint] => [ns / 1_000_000_000n, ns % 1_000_000_000n]

/** struct sigevent: value, signal, how, and the thread. */
function sigevent(timer: PosixTimer): Uint8Array {
  const bytes = new Uint8Array(SIGEVENT_BYTES)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, timer.valuePointer, true)
  view.setInt32(8, timer.signal, true)
  view.setInt32(12, timer.notify, true)
  view.setInt32(16, timer.thread, true)
  return bytes
}
