/**
 * A signal that a process does not notice. The kernel drops it where it is sent, but not while the process is traced (signal(7); sig_ignored() in
 * kernel/signal.c): then its tracer hears of it. So it tells the tracer that something is done, and nobody anything if there is no tracer
 * any more.
 */
import { field, readStatus } from '../proc/status.js'
import type { ThreadState } from './injection.js'

const SIGCONT = 18
const SIGURG = 23
const SIGWINCH = 28
const LAST = 64

export const bitOf = (signal: number): bigint => 1n << BigInt(signal - 1)

/** Without a handler, nothing comes of them. */
const HARMLESS = bitOf(SIGURG) | bitOf(SIGWINCH)

/**
 * Of a frozen process: ignored, by its wish or from the start, and not pending; rather one that no thread blocks, and so waits for in another way.
 * Undefined where there is none.
 */
export function unheardSignal(pid: number, threads: readonly Pick<ThreadState, 'tid' | 'signalMask'>[]): number | undefined {
  const status = readStatus(pid)
  const set = (name: string, tid = pid): bigint => BigInt(`0x${field(tid === pid ? status : readStatus(pid, tid), name)}`)
  const ignored = set('SigIgn') | (HARMLESS & ~set('SigCgt'))
  const pending = threads.reduce((all, { tid }) => all | set('SigPnd', tid), set('ShdPnd'))
  const blocked = threads.reduce((all, { signalMask }) => all | signalMask, 0n)
  const unheard = ignored & ~pending & ~bitOf(SIGCONT)
  return firstOf(unheard & ~blocked) ?? firstOf(unheard)
}

function firstOf(set: bigint): number | undefined {
  return Array.from({ length: LAST }, (_, i) => i + 1).find((signal) => (set & bitOf(signal)) !== 0n)
}
