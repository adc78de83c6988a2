/** How a thread is scheduled: policy and priority, nice, time slice, processors, I/O priority (sched(7), ioprio_set(2)). */
import { native } from '../../native/index.js'
import type { Scheduling } from '../image/model.js'
import type { Program } from '../program/program.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'task',
  carried: 'scheduling',
  conditions: ["A time slice that is just as long as the dumper's own counts as the kernel's own."],
}

const PRIO_PROCESS = 0
const IOPRIO_WHO_PROCESS = 1
const SCHED_RESET_ON_FORK = 0x4000_0000
const SCHED_FLAG_RESET_ON_FORK = 1

export function collectScheduling(tid: number): Scheduling {
  const { slice } = readAttributes(tid)
  return { ...native.readTask(tid), slice: slice === readAttributes(0).slice ? 0n : slice }
}

/** struct sched_attr (sched_setattr(2)), with what came in Linux 5.3. */
const ATTRIBUTES_BYTES = 56
const [POLICY_AT, FLAGS_AT, NICE_AT, RUNTIME_AT, CLAMPS_AT] = [4, 8, 16, 24, 48]

/** Of a thread that is scheduled fairly, the runtime is its slice (since Linux 6.12, before that 0). @param tid 0 for the calling thread */
export function readAttributes(tid: number): { policy: number; slice: bigint; clamps: [number, number] } {
  const bytes = Buffer.alloc(ATTRIBUTES_BYTES)
  native.syscall('sched_getattr', [tid, bytes, ATTRIBUTES_BYTES, 0])
  return {
    policy: bytes.readUInt32LE(POLICY_AT),
    slice: bytes.readBigUInt64LE(RUNTIME_AT),
    clamps: [bytes.readUInt32LE(CLAMPS_AT), bytes.readUInt32LE(CLAMPS_AT + 4)],
  }
}

/** Emitted in the thread itself. What is as a new thread of ours has it (`own`) needs no call, and no privilege. */
export function emitScheduling(program: Program, scheduling: Scheduling, own: Omit<Scheduling, 'slice'>): void {
  const { policy, priority, nice, ioPriority, affinity } = scheduling
  program.for('scheduling', () => {
    if (!sameBytes(affinity, own.affinity)) program.call('sched_setaffinity', [0, affinity.length, program.bundle.bytes(affinity)])
    if (nice !== own.nice) program.call('setpriority', [PRIO_PROCESS, 0, nice])
    if (policy !== own.policy || priority !== own.priority)
      program.call('sched_setscheduler', [0, policy, program.bundle.bytes(new Uint8Array(Int32Array.of(priority).buffer))])
    // Behind the policy, which puts it back to the kernel's own.
    if (scheduling.slice !== 0n) program.call('sched_setattr', [0, program.bundle.bytes(sliceOf(scheduling)), 0])
    if (ioPriority !== own.ioPriority) program.call('ioprio_set', [IOPRIO_WHO_PROCESS, 0, ioPriority])
  })
}

/** All else as it is. */
function sliceOf({ policy, nice, slice }: Scheduling): Uint8Array {
  const bytes = Buffer.alloc(ATTRIBUTES_BYTES)
  bytes.writeUInt32LE(ATTRIBUTES_BYTES)
  bytes.writeUInt32LE(policy & ~SCHED_RESET_ON_FORK, POLICY_AT)
  bytes.writeBigUInt64LE(BigInt((policy & SCHED_RESET_ON_FORK) === 0 ? 0 : SCHED_FLAG_RESET_ON_FORK), FLAGS_AT)
  bytes.writeInt32LE(nice, NICE_AT)
  bytes.writeBigUInt64LE(slice, RUNTIME_AT)
  return bytes
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0
