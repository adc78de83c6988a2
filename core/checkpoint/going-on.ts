/** How a frozen thread goes on, in a copy and in the original: the call that the freeze interrupted, and what pending signals do to it. */
import type { SignalAction, ThreadModel, TimeLimit } from '../image/model.js'
import { native } from '../../native/index.js'
import { restartable, restartedByKernel } from '../program/registers.js'
import type { Handling } from '../program/registers.js'
import { limitWords, withTimeLeft } from '../program/time-limit.js'
import { signalOf } from '../resources/timer-signals.js'
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
export function unnoticed<T extends Pick<ThreadState, 'registers'>>(state: T, limit: TimeLimit | undefined, memFd: number): T {
  const registers = restartedByKernel(state.registers, limit !== undefined)
  if (registers === state.registers) return state
  if (limit === undefined) return { ...state, registers }
  const left = limit.due - native.clockGettime(CLOCK_MONOTONIC)
  const some = left > 0n ? left : 1n
  if (limit.address !== 0n) native.writeAt(memFd, limit.address, new Uint8Array(BigInt64Array.from(limitWords(limit, some)).buffer))
  return { ...state, registers: withTimeLeft(registers, limit, some) }
}

/** Threads as they leave the restorer, and the signals that still wait for the process then. */
export function goingOn(
  threads: readonly (ThreadModel & { readonly limit: TimeLimit | undefined })[],
  forProcess: readonly Uint8Array[],
  actions: readonly SignalAction[],
): { threads: ThreadModel[]; pendingSignals: Uint8Array[] } {
  const queues = threads.map(({ pendingSignals }) => [...pendingSignals])
  const pendingSignals = hand(forProcess, threads, queues, actions)
  const going = threads.map(({ limit, ...thread }, i): ThreadModel => {
    const queue = queues[i] ?? []
    const handling = firstHandling(queue, thread.signalMask, actions)
    const registers = restartable(BigUint64Array.from(thread.registers), handling, limit !== undefined)
    // Where a handler runs, the call that is not restarted has ended, and so has its limit.
    return { ...thread, registers: [...registers], pendingSignals: queue, timeLimit: handling === 'none' ? (limit ?? null) : null }
  })
  return { threads: going, pendingSignals }
}

/**
 * A signal for the process is handled by one thread, and ends the call of that one only: so it is decided here which. The leader comes first, as for
 * the kernel, and no thread gets a second one, which would change their order. What nobody takes at once goes on waiting.
 */
function hand(
  signals: readonly Uint8Array[],
  threads: readonly ThreadModel[],
  queues: Uint8Array[][],
  actions: readonly SignalAction[],
): Uint8Array[] {
  const taken = new Set<Uint8Array>()
  for (const info of signals.toSorted((a, b) => rank(signalOf(a)) - rank(signalOf(b)))) {
    const taker = threads.findIndex(
      ({ signalMask }, i) =>
        firstHandling([info], signalMask, actions) !== 'none' && firstHandling(queues[i] ?? [], signalMask, actions) === 'none',
    )
    if (taker < 0) continue
    queues[taker]?.push(info)
    taken.add(info)
  }
  return signals.filter((info) => !taken.has(info))
}

/**
 * What the first handler that runs says of the call; it alone decides (handle_signal() in arch/x86/kernel/signal.c). The lower number comes
 * first. Signals that are ignored, or whose default is nothing, run none; the mask is the one that the thread returns with: a signal that
 * only the mask of a ppoll or sigsuspend lets in is handled when that call is made again.
 */
export function firstHandling(queue: readonly Uint8Array[], signalMask: bigint, actions: readonly SignalAction[]): Handling {
  const signals = queue.map(signalOf).filter((signal) => (signalMask & (1n << BigInt(signal - 1))) === 0n)
  for (const signal of signals.sort((a, b) => rank(a) - rank(b))) {
    const action = actions.find((candidate) => candidate.signal === signal)
    if (action === undefined || action.handler === SIG_DFL || action.handler === SIG_IGN) continue
    return (action.flags & SA_RESTART) !== 0n ? 'restarts' : 'interrupts'
  }
  return 'none'
}

const rank = (signal: number): number => (SYNCHRONOUS.includes(signal) ? signal - 64 : signal)
