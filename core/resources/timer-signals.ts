/**
 * Signals of POSIX timers that are pending. The kernel gives one to nobody whose timer was set anew or deleted since (posixtimer_deliver_signal),
 * and only it knows: so such a signal is sent by its timer, and what happened to the timer afterwards happens again.
 */
import type { PosixTimer } from '../image/model.js'
import type { Program } from '../program/program.js'
import { nanoseconds } from './clocks.js'

const CLOCK_MONOTONIC = 1
const SIGEV_SIGNAL = 0
const SIGEV_THREAD_ID = 4
const SIGEVENT_BYTES = 64
const ITIMERSPEC_BYTES = 32
const TIMER_ABSTIME = 1
const SI_TIMER = -2
const SI_KERNEL = 0x80
/** SIGALRM, SIGVTALRM, SIGPROF: what interval timers send. */
const OF_INTERVAL_TIMERS = [14, 26, 27]
/** Offsets in siginfo_t. */
const [SI_SIGNO, SI_CODE, SI_TIMERID, SI_VALUE] = [0, 8, 16, 24]

const viewOf = (info: Uint8Array): DataView => new DataView(info.buffer, info.byteOffset)
export const numberAt = (info: Uint8Array, offset: number): number => viewOf(info).getInt32(offset, true)
export const signalOf = (info: Uint8Array): number => numberAt(info, SI_SIGNO)

export const isOf = (info: Uint8Array, { id, signal }: Pick<PosixTimer, 'id' | 'signal'>): boolean =>
  signalOf(info) === signal && isOfTimer(info) && numberAt(info, SI_TIMERID) === id

const isOfTimer = (info: Uint8Array): boolean => numberAt(info, SI_CODE) === SI_TIMER

/** Names the timer that has sent a signal: a POSIX timer, or an interval timer; undefined for others. */
export function timerThatSent(info: Uint8Array): string | undefined {
  if (isOfTimer(info)) return `POSIX timer ${numberAt(info, SI_TIMERID)}`
  const signal = signalOf(info)
  return numberAt(info, SI_CODE) === SI_KERNEL && OF_INTERVAL_TIMERS.includes(signal) ? `interval timer, signal ${signal}` : undefined
}

/** Signals without those that interval timers send again when they are armed. */
export function withoutTimers(signals: readonly Uint8Array[], timers: readonly PosixTimer[]): Uint8Array[] {
  return signals.filter((info) => !timers.some((timer) => timer.interval !== 0n && isOf(info, timer)))
}

/**
 * How a signal came to be pending. One that a process was sent and that a thread is to take (core/checkpoint/going-on.ts) is as good as taken.
 *
 * @param tid of the thread in whose queue it is; 0: in that of the process
 */
export function senderOf(info: Uint8Array, timers: readonly PosixTimer[], tid: number): PosixTimer | 'deleted' | 'anybody' | 'nobody' {
  if (!isOfTimer(info)) return 'anybody'
  const timer = timers.find((candidate) => isOf(info, candidate))
  // Its id is another's by now: it will be given to nobody.
  if (timer === undefined) return timers.some(({ id }) => id === numberAt(info, SI_TIMERID)) ? 'nobody' : 'deleted'
  const itsOwn = timer.notify === SIGEV_THREAD_ID ? timer.thread === tid : tid === 0
  return itsOwn ? timer : 'anybody'
}

/** Sends the signal of a timer. In a process whose timers get the ids that they ask for (`emitRestoreIds`). */
export function emitFired(program: Program, id: number): void {
  const setting = program.bundle.allocate(ITIMERSPEC_BYTES)
  program.call('timer_settime', [id, TIMER_ABSTIME, program.bundle.words(0, 0, 0, 1), 0])
  const look = program.here
  // Nothing is left once it has been sent (kernel/time/posix-timers.c, common_timer_get).
  program.call('timer_gettime', [id, setting])
  program.jump(look, 'not-equal', nanoseconds(program, setting + 16n), 0)
}

/** The same for one that is there no more. */
export function emitFiredOnce(program: Program, info: Uint8Array, tid: number): void {
  const id = numberAt(info, SI_TIMERID)
  const notify = tid === 0 ? SIGEV_SIGNAL : SIGEV_THREAD_ID
  const valuePointer = viewOf(info).getBigUint64(SI_VALUE, true)
  emitCreated(program, { id, clock: CLOCK_MONOTONIC, notify, signal: signalOf(info), valuePointer, thread: tid })
  emitFired(program, id)
  program.call('timer_delete', [id])
}

export function emitCreated(program: Program, timer: Omit<PosixTimer, 'interval' | 'value' | 'overrun' | 'waiting'>): void {
  const id = program.bundle.bytes(new Uint8Array(Int32Array.of(timer.id).buffer))
  program.call('timer_create', [timer.clock, program.bundle.bytes(sigevent(timer)), id])
}

/** struct sigevent: value, signal, how, and the thread. */
function sigevent(timer: Pick<PosixTimer, 'valuePointer' | 'signal' | 'notify' | 'thread'>): Uint8Array {
  const bytes = new Uint8Array(SIGEVENT_BYTES)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, timer.valuePointer, true)
  view.setInt32(8, timer.signal, true)
  view.setInt32(12, timer.notify, true)
  view.setInt32(16, timer.thread, true)
  return bytes
}
