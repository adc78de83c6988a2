/** How a thread is scheduled: policy and priority, nice, processors, I/O priority (sched(7), ioprio_set(2)). */
import { native } from '../../native/index.js'
import type { Scheduling } from '../image/model.js'
import type { Program } from '../program/program.js'
import type { Support } from './support.js'

export const support: Support = { topic: 'task', carried: 'scheduling' }

const PRIO_PROCESS = 0
const IOPRIO_WHO_PROCESS = 1

export const collectScheduling = (tid: number): Scheduling => native.readTask(tid)

/** Emitted in the thread itself. What is as a new thread of ours has it (`own`) needs no call, and no privilege. */
export function emitScheduling(program: Program, scheduling: Scheduling, own: Scheduling): void {
  const { policy, priority, nice, ioPriority, affinity } = scheduling
  program.for('scheduling', () => {
    if (!sameBytes(affinity, own.affinity)) program.call('sched_setaffinity', [0, affinity.length, program.bundle.bytes(affinity)])
    if (nice !== own.nice) program.call('setpriority', [PRIO_PROCESS, 0, nice])
    if (policy !== own.policy || priority !== own.priority)
      program.call('sched_setscheduler', [0, policy, program.bundle.bytes(new Uint8Array(Int32Array.of(priority).buffer))])
    if (ioPriority !== own.ioPriority) program.call('ioprio_set', [IOPRIO_WHO_PROCESS, 0, ioPriority])
  })
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0
