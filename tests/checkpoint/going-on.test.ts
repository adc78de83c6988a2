import { expect, test } from 'vitest'
import { firstHandling } from '../../dist/core/checkpoint/going-on.js'

const [SIGUSR1, SIGSEGV, SIGALRM, SIGCHLD, SIGWINCH] = [10, 11, 14, 17, 28]
const SA_RESTART = 0x1000_0000n
const siginfo = (signal: number): Uint8Array => new Uint8Array(Int32Array.from([signal, ...Array(31).fill(0)]).buffer)
const action = (signal: number, handler: bigint, flags = 0n) => ({ signal, handler, flags, restorer: 0n, mask: 0n })
const actions = [action(SIGUSR1, 0x1000n), action(SIGSEGV, 0x1000n, SA_RESTART), action(SIGALRM, 0x1000n, SA_RESTART), action(SIGCHLD, 1n)]

/** Signals that wait for the thread, and for the process. */
const handling = (thread: number[], process: number[] = [], mask = 0n) =>
  firstHandling([thread.map(siginfo), process.map(siginfo)], mask, actions)

test('a handler decides by its SA_RESTART', () => {
  expect(handling([SIGUSR1])).toBe('interrupts')
  expect(handling([SIGALRM])).toBe('restarts')
  expect(handling([], [SIGUSR1])).toBe('interrupts')
})

test('the first one that is delivered counts', () => {
  expect(handling([SIGALRM, SIGUSR1])).toBe('interrupts')
  expect(handling([SIGALRM], [SIGUSR1])).toBe('restarts')
  expect(handling([SIGUSR1, SIGSEGV])).toBe('restarts')
})

test('blocked and ignored signals, and those that do nothing by default, leave the call alone', () => {
  expect(handling([SIGUSR1], [], 1n << BigInt(SIGUSR1 - 1))).toBe('none')
  expect(handling([SIGCHLD], [SIGWINCH])).toBe('none')
  expect(handling([SIGCHLD, SIGALRM])).toBe('restarts')
})
