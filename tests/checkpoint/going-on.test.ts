import { expect, test } from 'vitest'
import { firstHandling, goingOn } from '../../dist/core/checkpoint/going-on.js'
import { fullProcess } from '../image/full-process.ts'

const [SIGUSR1, SIGSEGV, SIGALRM, SIGCHLD, SIGWINCH] = [10, 11, 14, 17, 28]
const SA_RESTART = 0x1000_0000n
const siginfo = (signal: number): Uint8Array => new Uint8Array(Int32Array.from([signal, ...Array(31).fill(0)]).buffer)
const action = (signal: number, handler: bigint, flags = 0n) => ({ signal, handler, flags, restorer: 0n, mask: 0n })
const maskOf = (signal: number): bigint => 1n << BigInt(signal - 1)
const actions = [action(SIGUSR1, 0x1000n), action(SIGSEGV, 0x1000n, SA_RESTART), action(SIGALRM, 0x1000n, SA_RESTART), action(SIGCHLD, 1n)]

/** Signals that wait for the thread. */
const handling = (signals: number[], mask = 0n) => firstHandling(signals.map(siginfo), mask, actions)

test('a handler decides by its SA_RESTART', () => {
  expect(handling([SIGUSR1])).toBe('interrupts')
  expect(handling([SIGALRM])).toBe('restarts')
})

test('the first one that is delivered counts', () => {
  expect(handling([SIGALRM, SIGUSR1])).toBe('interrupts')
  expect(handling([SIGUSR1, SIGSEGV])).toBe('restarts')
})

test('blocked and ignored signals, and those that do nothing by default, leave the call alone', () => {
  expect(handling([SIGUSR1], maskOf(SIGUSR1))).toBe('none')
  expect(handling([SIGCHLD, SIGWINCH])).toBe('none')
  expect(handling([SIGCHLD, SIGALRM])).toBe('restarts')
})

/** Which of the threads handle signals of the process; what waits on. */
function handedOut(masks: bigint[], own: number[][], forProcess: number[]) {
  const [leader] = fullProcess.threads
  const threads = masks.map((signalMask, i) => ({
    ...leader!,
    signalMask,
    pendingSignals: (own[i] ?? []).map(siginfo),
    limit: undefined,
  }))
  const numbers = (infos: Uint8Array[]) => infos.map((info) => info[0])
  const going = goingOn(threads, forProcess.map(siginfo), actions)
  return { threads: going.threads.map(({ pendingSignals }) => numbers(pendingSignals)), process: numbers(going.pendingSignals) }
}

test('a signal for the process goes to the first thread that lets it in and has nothing else to handle', () => {
  expect(handedOut([maskOf(SIGUSR1), 0n, 0n], [], [SIGUSR1])).toEqual({ threads: [[], [SIGUSR1], []], process: [] })
  expect(handedOut([0n, 0n], [[SIGALRM]], [SIGUSR1])).toEqual({ threads: [[SIGALRM], [SIGUSR1]], process: [] })
  expect(handedOut([0n], [], [SIGALRM, SIGUSR1])).toEqual({ threads: [[SIGUSR1]], process: [SIGALRM] })
  expect(handedOut([maskOf(SIGUSR1)], [], [SIGUSR1])).toEqual({ threads: [[]], process: [SIGUSR1] })
  expect(handedOut([0n], [], [SIGCHLD])).toEqual({ threads: [[]], process: [SIGCHLD] })
})
