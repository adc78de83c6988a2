/** Signals that were sent and not yet delivered, with their siginfo, in order: of a thread and of the process. */
import { native } from '../../native/index.js'
import type { Argument } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import type { Support } from './support.js'

export const support: Support = { topic: 'task', carried: 'pending signals' }

export const collectThreadSignals = (tid: number): Uint8Array[] => native.peekSignals(tid, 'thread')
export const collectProcessSignals = (pid: number): Uint8Array[] => native.peekSignals(pid, 'process')

/**
 * Emitted in the thread itself: a task may queue any siginfo to itself, with the si_code that it had (kernel/signal.c, do_rt_sigqueueinfo).
 * All signals are blocked until rt_sigreturn.
 */
export function emitThreadSignals(program: Program, pid: Argument, tid: Argument, signals: readonly Uint8Array[]): void {
  program.for('pending signals', () => {
    for (const info of signals) program.call('rt_tgsigqueueinfo', [pid, tid, signalOf(info), program.bundle.bytes(info)])
  })
}

export function emitProcessSignals(program: Program, pid: Argument, signals: readonly Uint8Array[]): void {
  program.for('pending signals of the process', () => {
    for (const info of signals) program.call('rt_sigqueueinfo', [pid, signalOf(info), program.bundle.bytes(info)])
  })
}

export const signalOf = (info: Uint8Array): number => new DataView(info.buffer, info.byteOffset).getInt32(0, true)
