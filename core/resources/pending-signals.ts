/** Signals that were sent and not yet delivered, with their siginfo, in order: of a thread and of the process. */
import { native } from '../../native/index.js'
import type { ProcessModel, ThreadModel } from '../image/model.js'
import type { Program } from '../program/program.js'
import type { Support } from './support.js'
import { emitFired, emitFiredOnce, senderOf, signalOf } from './timer-signals.js'

export const support: Support = { topic: 'task', carried: 'pending signals' }

export const collectThreadSignals = (tid: number): Uint8Array[] => native.peekSignals(tid, 'thread')
export const collectProcessSignals = (pid: number): Uint8Array[] => native.peekSignals(pid, 'process')

/**
 * Emitted in the thread itself: a task may queue any siginfo to itself, with the si_code that it had (kernel/signal.c, do_rt_sigqueueinfo).
 * All signals are blocked until rt_sigreturn.
 */
export function emitThreadSignals(program: Program, { pid, posixTimers }: Owner, { tid, pendingSignals }: ThreadModel): void {
  program.for('pending signals', () => {
    for (const info of pendingSignals) {
      const sender = senderOf(info, posixTimers, tid)
      if (sender === 'deleted') emitFiredOnce(program, info, tid)
      else if (sender === 'anybody') program.call('rt_tgsigqueueinfo', [pid, tid, signalOf(info), program.bundle.bytes(info)])
      else if (sender !== 'nobody' && tid === pid) emitFired(program, sender.id)
    }
  })
}

/** By the leader, of the other threads: what timers send that the leader has made. */
export function emitTimersOfThreads(program: Program, { posixTimers }: Owner, threads: readonly ThreadModel[]): void {
  program.for('pending signals', () => {
    for (const { tid, pendingSignals } of threads)
      for (const info of pendingSignals) {
        const sender = senderOf(info, posixTimers, tid)
        if (typeof sender === 'object') emitFired(program, sender.id)
      }
  })
}

export function emitProcessSignals(program: Program, { pid, posixTimers, pendingSignals }: ProcessModel): void {
  program.for('pending signals of the process', () => {
    for (const info of pendingSignals) {
      const sender = senderOf(info, posixTimers, 0)
      if (sender === 'deleted') emitFiredOnce(program, info, 0)
      else if (sender === 'anybody') program.call('rt_sigqueueinfo', [pid, signalOf(info), program.bundle.bytes(info)])
      else if (sender !== 'nobody') emitFired(program, sender.id)
    }
  })
}

type Owner = Pick<ProcessModel, 'pid' | 'posixTimers'>

/** Whether timers come into it, which must have their ids. */
export const hasTimers = ({ posixTimers, pendingSignals, threads }: ProcessModel): boolean =>
  posixTimers.length > 0 ||
  [pendingSignals, ...threads.map((thread) => thread.pendingSignals)].flat().some((info) => senderOf(info, [], 0) === 'deleted')
