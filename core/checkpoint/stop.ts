/** Waiting for a traced task to stand, and letting go one that does not. */
import { native } from '../../native/index.js'
import type { SystemError, WaitStatus } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import { readStat } from '../proc/status.js'
import { pause } from './pause.js'

const CLOCK_MONOTONIC = 1
const PTRACE_EVENT_STOP = 128
const TO_STOP_NS = 1_000_000_000n
const LOOKS_WITHOUT_PAUSE = 200

/**
 * Waits until a task that was interrupted stands in the stop it was interrupted for, and passes on the signals that come first: a
 * signal that was about to be delivered is delivered. Undefined when the task died.
 *
 * @param whileStuck done as long as it waits for something that nothing interrupts
 * @returns the signal by which its process is stopped (job control), SIGTRAP when it is not (ptrace(2))
 */
export function stopOf(tid: number, whileStuck?: () => void): number | undefined {
  for (;;) {
    const status = nextStatus(tid, whileStuck)
    if (status?.kind !== 'stopped') return undefined
    if (status.event === PTRACE_EVENT_STOP) return status.signal
    native.resume(tid, status.signal)
  }
}

/**
 * A task stops within microseconds, unless it waits for something that no signal ends, and for that it cannot be waited for long. Undefined
 * for a leader that has ended, which is not told before the end of its threads is.
 */
function nextStatus(tid: number, whileStuck?: () => void): WaitStatus | undefined {
  const until = native.clockGettime(CLOCK_MONOTONIC) + TO_STOP_NS
  for (let looks = 0; ; looks++) {
    const status = native.wait(tid, true)
    if (status !== null) return status
    if (looks < LOOKS_WITHOUT_PAUSE) {
      native.syscall('sched_yield', [])
      continue
    }
    if (hasEnded(tid, tid)) return native.wait(tid, true) ?? undefined
    if (stateOf(tid) === 'D') {
      if (native.clockGettime(CLOCK_MONOTONIC) > until) throw cannotStop(tid)
      whileStuck?.()
    }
    pause(1)
  }
}

function stateOf(tid: number): string | undefined {
  try {
    return readStat(tid)[0]
  } catch {
    return undefined
  }
}

const cannotStop = (tid: number): UnsupportedError =>
  new UnsupportedError(
    'THAW_UNINTERRUPTIBLE',
    `Cannot checkpoint pid ${tid}: it waits for something that cannot be interrupted (vfork, a disk), and did not stop within a second. Checkpoint it when it has gone on.`,
    { pid: tid },
  )

/** The same, in a stop of the kind that the task was frozen in. @param signal what that was by; false when the task died */
export function stopped(tid: number, signal: number): boolean {
  const stop = stopOf(tid)
  if (stop !== undefined && stop !== signal) throw isBeingStopped(tid)
  return stop !== undefined
}

export const isBeingStopped = (pid: number): UnsupportedError =>
  new UnsupportedError(
    'THAW_STOPPED',
    `Cannot checkpoint pid ${pid}: it was stopped or continued by a signal (job control) meanwhile. Checkpoint it when it has settled.`,
    { pid },
  )

/**
 * A traced task that is not stopped was killed, or has just been attached to as another thread, and executed another program. The one stays a zombie, which
 * its pid namespace cannot end with, until its tracer has seen its end: of a leader the end of the whole process, unless it has ended alone, and the
 * others go on. The other one stops as any does.
 */
export function letGo(tid: number): void {
  const until = native.clockGettime(CLOCK_MONOTONIC) + TO_STOP_NS
  try {
    unlessGone(() => native.interrupt(tid))
    for (let looks = 0; ; looks++) {
      const status = native.wait(tid, true)
      if (status?.kind === 'stopped') unlessGone(() => native.detach(tid, status.event === PTRACE_EVENT_STOP ? 0 : status.signal))
      else if (status !== null) return
      else if (looks < LOOKS_WITHOUT_PAUSE) native.syscall('sched_yield', [])
      // However long it takes to die: only who has ended, and is not told of, has ended alone.
      else if (native.clockGettime(CLOCK_MONOTONIC) > until && hasEnded(tid, tid)) return
      else pause(1)
    }
  } catch (error) {
    if ((error as SystemError).code !== 'ECHILD') throw error
  }
}

function unlessGone(act: () => void): void {
  try {
    act()
  } catch (error) {
    if ((error as SystemError).code !== 'ESRCH') throw error
  }
}

/** The kernel answers for a zombie as for a process that this user may not trace. */
export function hasEnded(pid: number, tid: number): boolean {
  try {
    return ['Z', 'X'].includes(readStat(pid, tid)[0] ?? 'X')
  } catch {
    return true
  }
}
