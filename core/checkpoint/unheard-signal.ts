/**
 * A signal that a process does not notice. The kernel drops it where it is sent, but not while the process is traced (signal(7); sig_ignored() in
 * kernel/signal.c): then its tracer hears of it. So it tells the tracer that something is done, and nobody anything if there is no tracer
 * any more.
 */
import { field, readStatus } from '../proc/status.js'
import type { ThreadState } from './injection.js'

const SIGURG = 23
const SIGCONT = 18
const SIGWINCH = 28
const LAST = 64

export const bitOf = (signal: number): bigint => 1n << BigInt(signal - 1)

/**
 * Of a frozen process: ignored, by its wish or from the start, blocked by no thread (which would keep it for later) and not pending.
 * Undefined where there is none.
 */
export function unheardSignal(pid: number, threads: readonly Pick<ThreadState, 'tid' | 'signalMask'>[]): number | undefined {
  const status = readStatus(pid)
  const set = (name: string, tid = pid): bigint => BigInt(`0x${field(tid === pid ? status : readStatus(pid, tid), name)}`)
  const ignored = set('SigIgn') | ((bitOf(SIGURG) | bitOf(SIGWINCH)) & ~set('SigCgt'))
  const pending = threads.reduce((all, { tid }) => all | set('SigPnd', tid), set('ShdPnd'))
  const blocked = threads.reduce((all, { signalMask }) => all | signalMask, 0n)
  const unheard = ignored & ~pending & ~blocked & ~bitOf(SIGCONT)
  const signals = Array.from({ length: LAST }, (_, i) => i + 1)
  return signals.find((signal) => (unheard & bitOf(signal)) !== 0n)
}
