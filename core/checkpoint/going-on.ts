/** How a frozen thread goes on, in a copy and in the original: the call that the freeze interrupted, and what pending signals do to it. */
import type { SignalAction, ThreadModel, TimeLimit } from '../image/model.js'
import { native } from '../../native/index.js'
import { restartable, restartedByKernel } from '../program/registers.js'
import type { Handling } from '../program/registers.js'
import { limitWords, withTimeLeft } from '../program/time-limit.js'
import { signalOf } from '../resources/pending-signals.js'
import type { ThreadState } from './injection.js'

const CLOCK_MONOTONIC = 1
const SA_RESTART = 0x1000_0000n
const SIG_IGN = 1n
const SIG_DFL = 0n
/** SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS: delivered before all others (kernel/signal.c, SYNCHRONOUS_MASK). */
const SYNCHRONOUS = [4, 5, 7, 8, 11, 31]

/**
 * The thread as the original goes on with it. Most calls the kernel restarts itself; those that it never restarts (signal(7)) it is made to, with what is
 * left of their time, so that the target does not notice. A limit in memory goes below the red zone, where signal frames go too.
 */
export function unnoticed(state: ThreadState, limit: TimeLimit | undefined, memFd: number): ThreadState {
  const registers = restartedByKernel(state.registers, limit !== undefined)
  if (registers === state.registers) return state
  if (limit === undefined) return { ...state, registers }
  const left = limit.due - native.clockGettime(CLOCK_MONOTONIC)
  const some = left > 0n ? left : 1n
  if (limit.address !== 0n) native.writeAt(memFd, limit.address, new Uint8Array(BigInt64Array.from(limitWords(limit, some)).buffer))
  return { ...state, registers: withTimeLeft(registers, limit, some) }
}

/** The thread as it leaves the restorer. @param forProcess pending signals of the process, which any thread may take */
export function goingOn(
  thread: ThreadModel,
  limit: TimeLimit | undefined,
  forProcess: readonly Uint8Array[],
  actions: readonly SignalAction[],
): ThreadModel {
  const before = BigUint64Array.from(thread.registers)
  const handling = firstHandling([thread.pendingSignals, forProcess], thread.signalMask, actions)
  const registers = restartable(before, handling, limit !== undefined)
  // Where a handler runs, the call that is not restarted has ended, and so has its limit.
  return { ...thread, registers: [...registers], timeLimit: handling === 'none' ? (limit ?? null) : null }
}

/**
 * What the first handler that runs says of the call; it alone decides (handle_signal() in arch/x86/kernel/signal.c). A thread's own signals
 * come before those of the process, the lower number first. Signals that are ignored, or whose default is nothing, run none; the mask is the one that the thread
 * returns with: a signal that only the mask of a ppoll or sigsuspend lets in is handled when that call is made again.
 */
export function firstHandling(queues: readonly (readonly Uint8Array[])[], signalMask: bigint, actions: readonly SignalAction[]): Handling {
  for (const queue of queues) {
    const signals = queue.map(signalOf).filter((signal) => (signalMask & (1n << BigInt(signal - 1))) === 0n)
    for (const signal of signals.sort((a, b) => rank(a) - rank(b))) {
      const action = actions.find((candidate) => candidate.signal === signal)
      if (action === undefined || action.handler === SIG_DFL || action.handler === SIG_IGN) continue
      return (action.flags & SA_RESTART) !== 0n ? 'restarts' : 'interrupts'
    }
  }
  return 'none'
}

const rank = (signal: number): number => (SYNCHRONOUS.includes(signal) ? signal - 64 : signal)
