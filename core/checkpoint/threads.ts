/** The threads of a frozen process: moved out of places where they must not be frozen, read from outside. */
import { native } from '../../native/index.js'
import type { ThreadModel, TimeLimit } from '../image/model.js'
import { innermost, readStatus } from '../proc/status.js'
import type { MappingLine } from '../proc/maps.js'
import { timeLimitOf } from '../program/time-limit.js'
import { readCredentials } from '../resources/credentials.js'
import type { SeenProcess } from '../resources/description.js'
import { leaveCriticalSection } from '../resources/rseq.js'
import { collectScheduling } from '../resources/scheduling.js'
import { collectThreadSettings } from '../resources/thread-settings.js'
import { leaveVdso } from '../resources/vdso.js'
import { readThread } from './injection.js'
import type { ThreadState } from './injection.js'
import type { ThreadAnswers } from './questions.js'
import type { SeizedProcess } from './seize.js'

/** A thread as it was frozen, moved out of places where it must not be frozen: the vDSO, a critical section of rseq. */
export function prepareThread(tid: number, lines: readonly MappingLine[], memFd: number, stop: number): ThreadState {
  leaveVdso(tid, lines, stop)
  leaveCriticalSection(tid, memFd)
  return readThread(tid, stop)
}

export function collectThread(
  target: SeenProcess,
  state: ThreadState,
  pendingSignals: Uint8Array[],
  { securebits, ...settings }: ThreadAnswers,
): ThreadModel {
  const { tid } = state
  const status = readStatus(target.pid, tid)
  return {
    tid: innermost(status, 'NSpid'),
    registers: [...state.registers],
    timeLimit: null,
    extendedState: state.extendedState,
    signalMask: state.signalMask,
    pendingSignals,
    scheduling: collectScheduling(tid),
    credentials: { ...readCredentials(status), securebits },
    ...collectThreadSettings(target.pid, tid, settings),
  }
}

/** What is left of the call that a thread was interrupted in. A copy writes only to memory of its own. */
export function timeLimitIn(
  { tid, registers }: Pick<ThreadState, 'tid' | 'registers'>,
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
