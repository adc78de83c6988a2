/** Restartable sequences (rseq(2)): a thread is never kept in the middle of a critical section. */
import { native } from '../../native/index.js'
import { get, withRegisters } from '../program/registers.js'
import type { Support } from './support.js'

export const support: Support = { topic: 'task', carried: 'rseq' }

/** struct rseq: where the pointer to the active section stands; struct rseq_cs: start, length, abort address. */
const OFFSET_RSEQ_CS = 8n
const RSEQ_CS_BYTES = 32

/**
 * Moves a frozen thread that stands inside a critical section to the section's abort address: what the kernel does when it preempts
 * one (kernel/rseq.c), and would not do for a thread that performs calls of ours first.
 */
export function leaveCriticalSection(tid: number, memFd: number): void {
  const { pointer } = native.getRseq(tid)
  if (pointer === 0n) return
  const section = words(native.readAt(memFd, pointer + OFFSET_RSEQ_CS, 8))[0] ?? 0n
  if (section === 0n) return
  const [, start = 0n, length = 0n, abort = 0n] = words(native.readAt(memFd, section, RSEQ_CS_BYTES))
  const registers = native.getRegisters(tid)
  const rip = get(registers, 'rip')
  if (rip < start || rip >= start + length) return
  native.setRegisters(tid, withRegisters(registers, { rip: abort }))
}

const words = (bytes: Uint8Array): BigUint64Array => new BigUint64Array(bytes.slice().buffer)
