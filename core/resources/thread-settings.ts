/**
 * What only a thread itself can tell of itself, or keeps for itself: alternate signal stack, clear-tid address, robust list, rseq, name,
 * parent-death signal, timer slack, machine-check policy, use of the time stamp counter, seccomp.
 */
import { readFileSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { Injection } from '../checkpoint/injection.js'
import type { ThreadModel } from '../image/model.js'
import type { Program } from '../program/program.js'
import { collectSeccomp } from './seccomp.js'
import type { Support } from './support.js'

export const support: Support = { topic: 'task', carried: 'names, robust lists' }

const PR_SET_PDEATHSIG = 1
const PR_GET_PDEATHSIG = 2
const PR_SET_NAME = 15
const PR_SET_TIMERSLACK = 29
const PR_GET_TIMERSLACK = 30
const PR_GET_TID_ADDRESS = 40
const PR_GET_TSC = 25
const PR_SET_TSC = 26
const PR_MCE_KILL = 33
const PR_MCE_KILL_GET = 34
const PR_MCE_KILL_SET = 1
const PR_MCE_KILL_DEFAULT = 2
const PR_TSC_ENABLE = 1
const STACK_T_BYTES = 24
const DEFAULT_TIMER_SLACK = 50_000n
const ROBUST_LIST_HEAD_BYTES = 24n

export type ThreadSettings = Pick<
  ThreadModel,
  | 'name'
  | 'signalStack'
  | 'clearChildTid'
  | 'robustList'
  | 'robustListBytes'
  | 'rseq'
  | 'parentDeathSignal'
  | 'timerSlack'
  | 'machineCheckPolicy'
  | 'timeStampCounter'
  | 'seccomp'
>

/** @param injection a thread that was made ready for calls; its buffer is used */
export function collectThreadSettings(pid: number, tid: number, injection: Injection, memFd: number): ThreadSettings {
  const { buffer } = injection
  const word = (): bigint => new DataView(native.readAt(memFd, buffer, 8).buffer).getBigUint64(0, true)
  injection.must('sigaltstack', 0n, buffer)
  const signalStack = native.readAt(memFd, buffer, STACK_T_BYTES)
  injection.must('prctl', BigInt(PR_GET_TID_ADDRESS), buffer, 0n, 0n, 0n)
  const clearChildTid = word()
  injection.must('prctl', BigInt(PR_GET_PDEATHSIG), buffer, 0n, 0n, 0n)
  const parentDeathSignal = Number(word() & 0xffff_ffffn)
  const timerSlack = injection.must('prctl', BigInt(PR_GET_TIMERSLACK), 0n, 0n, 0n, 0n)
  const machineCheckPolicy = Number(injection.must('prctl', BigInt(PR_MCE_KILL_GET), 0n, 0n, 0n, 0n))
  injection.must('prctl', BigInt(PR_GET_TSC), buffer, 0n, 0n, 0n)
  const timeStampCounter = Number(word() & 0xffff_ffffn)
  const robust = native.getRobustList(tid)
  const rseq = native.getRseq(tid)
  return {
    name: readFileSync(`/proc/${pid}/task/${tid}/comm`, 'utf8').replace(/\n$/, ''),
    signalStack,
    clearChildTid,
    parentDeathSignal,
    timerSlack,
    machineCheckPolicy,
    timeStampCounter,
    seccomp: collectSeccomp(pid, tid),
    robustList: robust.head,
    robustListBytes: robust.length,
    rseq: rseq.pointer === 0n ? null : rseq,
  }
}

/** Emitted in the thread itself. The clear-tid address is given to clone3, or to set_tid_address by the leader. */
export function emitThreadSettings(program: Program, thread: ThreadModel): void {
  program.for('thread settings', () => {
    program.call('prctl', [PR_SET_NAME, program.bundle.string(thread.name), 0, 0, 0])
    if (thread.robustList !== 0n) program.call('set_robust_list', [thread.robustList, ROBUST_LIST_HEAD_BYTES])
    if (thread.timerSlack !== DEFAULT_TIMER_SLACK) program.call('prctl', [PR_SET_TIMERSLACK, thread.timerSlack, 0, 0, 0])
    if (thread.machineCheckPolicy !== PR_MCE_KILL_DEFAULT)
      program.call('prctl', [PR_MCE_KILL, PR_MCE_KILL_SET, thread.machineCheckPolicy, 0, 0])
    if (thread.timeStampCounter !== PR_TSC_ENABLE) program.call('prctl', [PR_SET_TSC, thread.timeStampCounter, 0, 0, 0])
    // Last: from here on the kernel writes the processor's number into the thread's memory whenever it moves.
    if (thread.rseq !== null) program.call('rseq', [thread.rseq.pointer, thread.rseq.sizeBytes, 0, thread.rseq.signature])
  })
}

/** After the credentials: changing ids clears it (prctl(2), PR_SET_PDEATHSIG). */
export function emitParentDeathSignal(program: Program, { parentDeathSignal }: ThreadModel): void {
  if (parentDeathSignal !== 0)
    program.for('parent-death signal', () => program.call('prctl', [PR_SET_PDEATHSIG, parentDeathSignal, 0, 0, 0]))
}
