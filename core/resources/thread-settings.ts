/**
 * What only a thread itself can tell of itself, or keeps for itself: alternate signal stack, clear-tid address, robust list, rseq, name,
 * parent-death signal, timer slack, machine-check policy, use of the time stamp counter, seccomp, whether it writes out what others wait for.
 */
import { native } from '../../native/index.js'
import type { ParasiteResults } from '../checkpoint/parasite.js'
import type { ThreadModel } from '../image/model.js'
import { readStat } from '../proc/status.js'
import type { Program } from '../program/program.js'
import { collectSeccomp } from './seccomp.js'
import type { Support } from './support.js'
import { emitName, readName } from './task-name.js'

export const support: Support = {
  topic: 'task',
  carried: 'names, robust lists',
  conditions: [
    'Landlock domains are lost: nothing tells that a process has one. What sets `PR_SET_IO_FLUSHER` takes CAP_SYS_RESOURCE to be restored.',
  ],
}

const PR_SET_PDEATHSIG = 1
const PR_GET_PDEATHSIG = 2
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
const PR_SET_IO_FLUSHER = 57
/** PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE, which it sets (include/linux/sched.h): to ask for it takes CAP_SYS_RESOURCE. */
const PF_IO_FLUSHER = 0x0018_0000
const STAT_FLAGS = 9 - 3
const STACK_T_BYTES = 24
const WORD_BYTES = 8
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
  | 'ioFlusher'
>

/** What only the thread itself can tell. */
export type AskedSettings = Pick<
  ThreadSettings,
  'signalStack' | 'clearChildTid' | 'parentDeathSignal' | 'timerSlack' | 'machineCheckPolicy' | 'timeStampCounter'
>

export function askThreadSettings(program: Program): (results: ParasiteResults) => AskedSettings {
  const { bundle } = program
  const get = (option: number): bigint => {
    const word = bundle.allocate(WORD_BYTES)
    program.call('prctl', [option, word, 0, 0, 0])
    return word
  }
  const signalStack = bundle.allocate(STACK_T_BYTES)
  program.call('sigaltstack', [0, signalStack])
  const [clearChildTid, parentDeathSignal, timeStampCounter] = [get(PR_GET_TID_ADDRESS), get(PR_GET_PDEATHSIG), get(PR_GET_TSC)]
  const timerSlack = program.call('prctl', [PR_GET_TIMERSLACK, 0, 0, 0, 0])
  const machineCheckPolicy = program.call('prctl', [PR_MCE_KILL_GET, 0, 0, 0, 0])
  return (results) => {
    const word = (address: bigint): bigint => Buffer.from(results.bytes(address, WORD_BYTES)).readBigUInt64LE()
    return {
      signalStack: results.bytes(signalStack, STACK_T_BYTES),
      clearChildTid: word(clearChildTid),
      parentDeathSignal: Number(word(parentDeathSignal)),
      timeStampCounter: Number(word(timeStampCounter)),
      timerSlack: results.cell(timerSlack),
      machineCheckPolicy: Number(results.cell(machineCheckPolicy)),
    }
  }
}

export function collectThreadSettings(pid: number, tid: number, asked: AskedSettings): ThreadSettings {
  const robust = native.getRobustList(tid)
  const rseq = native.getRseq(tid)
  return {
    ...asked,
    name: readName(pid, tid),
    seccomp: collectSeccomp(pid, tid),
    ioFlusher: (Number(readStat(pid, tid)[STAT_FLAGS]) & PF_IO_FLUSHER) === PF_IO_FLUSHER,
    robustList: robust.head,
    robustListBytes: robust.length,
    rseq: rseq.pointer === 0n ? null : rseq,
  }
}

/** Emitted in the thread itself. The clear-tid address is given to clone3, or to set_tid_address by the leader. */
export function emitThreadSettings(program: Program, thread: ThreadModel): void {
  program.for('thread settings', () => {
    emitName(program, thread.name)
    if (thread.robustList !== 0n) program.call('set_robust_list', [thread.robustList, ROBUST_LIST_HEAD_BYTES])
    if (thread.timerSlack !== DEFAULT_TIMER_SLACK) program.call('prctl', [PR_SET_TIMERSLACK, thread.timerSlack, 0, 0, 0])
    if (thread.machineCheckPolicy !== PR_MCE_KILL_DEFAULT)
      program.call('prctl', [PR_MCE_KILL, PR_MCE_KILL_SET, thread.machineCheckPolicy, 0, 0])
    if (thread.timeStampCounter !== PR_TSC_ENABLE) program.call('prctl', [PR_SET_TSC, thread.timeStampCounter, 0, 0, 0])
    if (thread.ioFlusher) program.call('prctl', [PR_SET_IO_FLUSHER, 1, 0, 0, 0])
    // Last: from here on the kernel writes the processor's number into the thread's memory whenever it moves.
    if (thread.rseq !== null) program.call('rseq', [thread.rseq.pointer, thread.rseq.sizeBytes, 0, thread.rseq.signature])
  })
}

/** After the credentials: changing ids clears it (prctl(2), PR_SET_PDEATHSIG). */
export function emitParentDeathSignal(program: Program, { parentDeathSignal }: ThreadModel): void {
  if (parentDeathSignal !== 0)
    program.for('parent-death signal', () => program.call('prctl', [PR_SET_PDEATHSIG, parentDeathSignal, 0, 0, 0]))
}
