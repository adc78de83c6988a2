/** The threads of a frozen process: moved out of places where they must not be frozen, read from outside and by injected calls. */
import { native } from '../../native/index.js'
import type { ThreadModel, TimeLimit } from '../image/model.js'
import { innermost, readStatus } from '../proc/status.js'
import type { MappingLine } from '../proc/maps.js'
import { timeLimitOf } from '../program/time-limit.js'
import { collectCredentials } from '../resources/credentials.js'
import type { SeenProcess } from '../resources/description.js'
import { collectThreadSignals } from '../resources/pending-signals.js'
import { leaveCriticalSection } from '../resources/rseq.js'
import { collectScheduling } from '../resources/scheduling.js'
import { collectThreadSettings } from '../resources/thread-settings.js'
import { leaveVdso } from '../resources/vdso.js'
import type { Gadgets } from './gadgets.js'
import { Injection, readThread } from './injection.js'
import type { Scratch, ThreadState } from './injection.js'
import type { SeizedProcess } from './seize.js'

/** A thread as it was frozen, moved out of places where it must not be frozen: the vDSO, a critical section of rseq. */
export function prepareThread(tid: number, lines: readonly MappingLine[], memFd: number, stop: number): ThreadState {
  leaveVdso(tid, lines, stop)
  leaveCriticalSection(tid, memFd)
  return readThread(tid, stop)
}

export function collectThread(target: SeenProcess, state: ThreadState, gadgets: Gadgets, scratch: Scratch): ThreadModel {
  const { tid } = state
  const injection = new Injection(state, gadgets, scratch)
  const status = readStatus(target.pid, tid)
  const pendingSignals = collectThreadSignals(tid)
  injection.begin()
  try {
    return {
      tid: innermost(status, 'NSpid'),
      registers: [...state.registers],
      timeLimit: null,
      extendedState: state.extendedState,
      signalMask: state.signalMask,
      pendingSignals,
      scheduling: collectScheduling(tid),
      credentials: collectCredentials(status, injection),
      ...collectThreadSettings(target.pid, tid, injection, scratch.memFd),
    }
  } finally {
    injection.end()
  }
}

/** What is left of the call that a thread was interrupted in. A copy writes only to memory of its own. */
export function timeLimitIn(
  { tid, registers }: ThreadState,
  seized: SeizedProcess,
  memFd: number,
  lines: readonly MappingLine[],
): TimeLimit | undefined {
  const writable = (address: bigint, length: number): boolean =>
    lines.some(({ start, end, permissions }) => start <= address && address + BigInt(length) <= end && permissions.startsWith('rw-p'))
  const read = (address: bigint, length: number): Uint8Array | undefined => {
    try {
      return native.readAt(memFd, address, length)
    } catch {
      // Another thread may have unmapped what the call has read long since.
      return undefined
    }
  }
  return timeLimitOf(registers, { ...seized.sleepOf(tid), read, writable })
}
