import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { get, reg, withRegisters } from '../../dist/core/program/registers.js'
import { isTimed, limitWords, timeLimitOf, withTimeLeft } from '../../dist/core/program/time-limit.js'
import type { Interrupted } from '../../dist/core/program/time-limit.js'

const [EINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK] = [4, 514, 516]
const NS = 1_000_000_000n
const [SINCE, STOPPED] = [100n * NS, 103n * NS]
const [RSP, BELOW] = [0x7000_0000_1018n, 0x7000_0000_0f80n]
const [LIMIT, REST] = [0x1000n, 0x2000n]

/** Two words of memory at LIMIT and at REST. */
function interrupted(limit: readonly bigint[], rest: readonly bigint[] = [], writable = true): Interrupted {
  const words = new Map([
    [LIMIT, limit],
    [REST, rest],
  ])
  const read = (address: bigint): Uint8Array | undefined => {
    const found = words.get(address)
    return found === undefined ? undefined : new Uint8Array(BigInt64Array.from(found).buffer)
  }
  return { since: SINCE, stopped: STOPPED, read, writable: () => writable }
}

function inCall(call: string, errno: number, args: Parameters<typeof withRegisters>[1]): BigUint64Array {
  return withRegisters(new BigUint64Array(27), { origRax: native.syscalls[call]!, rax: -errno, rsp: RSP, ...args })
}

test.each([
  ['poll', ERESTART_RESTARTBLOCK, 'rdx'],
  ['epoll_wait', EINTR, 'r10'],
  ['epoll_pwait', EINTR, 'r10'],
] as const)('%s: milliseconds in a register', (call, errno, register) => {
  const registers = inCall(call, errno, { [register]: 5000 })
  const limit = timeLimitOf(registers, interrupted([]))!
  expect(limit).toEqual({ register: reg[register], address: 0n, fraction: 0, due: SINCE + 5n * NS })
  expect(get(withTimeLeft(registers, limit, 2_000_000_001n), register)).toBe(2001n)
  expect(timeLimitOf(inCall(call, errno, { [register]: -1 }), interrupted([]))).toBeUndefined()
})

test.each([
  ['futex', ERESTART_RESTARTBLOCK, 'r10', 1],
  ['epoll_pwait2', EINTR, 'r10', 1],
  ['rt_sigtimedwait', EINTR, 'rdx', 1],
  ['semtimedop', EINTR, 'r10', 1],
  ['nanosleep', ERESTART_RESTARTBLOCK, 'rdi', 1],
  ['clock_nanosleep', ERESTART_RESTARTBLOCK, 'rdx', 1],
  ['select', EINTR, 'r8', 1000],
] as const)('%s: two words in memory go on below the red zone', (call, errno, register, fraction) => {
  const registers = inCall(call, errno, { [register]: LIMIT })
  const limit = timeLimitOf(registers, interrupted([7n, 500n]))!
  expect(limit).toEqual({ register: reg[register], address: BELOW, fraction, due: SINCE + 7n * NS + 500n * BigInt(fraction) })
  expect(get(withTimeLeft(registers, limit, 1n), register)).toBe(BELOW)
  expect(timeLimitOf(registers, interrupted([7n, 500n], [], false)), 'a stack without room').toBeUndefined()
  expect(timeLimitOf(inCall(call, errno, { [register]: 0x3000 }), interrupted([7n, 500n])), 'memory that is gone').toBeUndefined()
})

test.each([
  ['nanosleep', ERESTART_RESTARTBLOCK, { rdi: LIMIT, rsi: REST }, 'rdi', 1],
  ['clock_nanosleep', ERESTART_RESTARTBLOCK, { rdx: LIMIT, r10: REST }, 'rdx', 1],
  ['select', ERESTARTNOHAND, { r8: REST }, 'r8', 1000],
  ['pselect6', ERESTARTNOHAND, { r8: REST }, 'r8', 1],
  ['ppoll', ERESTARTNOHAND, { rdx: REST }, 'rdx', 1],
] as const)('%s: the kernel has written what was left when it stopped', (call, errno, args, register, fraction) => {
  expect(timeLimitOf(inCall(call, errno, args), interrupted([9n, 0n], [2n, 30n]))).toEqual({
    register: reg[register],
    address: REST,
    fraction,
    due: STOPPED + 2n * NS + 30n * BigInt(fraction),
  })
})

test.each([
  ['nothing that takes time', 'read', ERESTART_RESTARTBLOCK, {}],
  ['a call that has ended', 'poll', 0, { rdx: 5000 }],
  ['an absolute sleep', 'clock_nanosleep', ERESTART_RESTARTBLOCK, { rsi: 1, rdx: LIMIT }],
  ['a sleep by processor time', 'clock_nanosleep', ERESTART_RESTARTBLOCK, { rdi: 2, rdx: LIMIT }],
  ['an absolute futex wait', 'futex', ERESTART_RESTARTBLOCK, { rsi: 9 | 128, r10: LIMIT }],
  ['no limit', 'ppoll', ERESTARTNOHAND, {}],
] as const)('%s has no relative limit', (_, call, errno, args) => {
  expect(timeLimitOf(inCall(call, errno, args), interrupted([7n, 0n]))).toBeUndefined()
})

test('a limit of ages does not overflow', () => {
  const { due } = timeLimitOf(inCall('nanosleep', ERESTART_RESTARTBLOCK, { rdi: LIMIT }), interrupted([2n ** 63n - 1n, 0n]))!
  expect(due).toBeGreaterThan(2n ** 61n)
  expect(due).toBeLessThan(2n ** 63n)
})

test('what is left is rounded up', () => {
  const limit = { register: 0, address: BELOW, due: 0n }
  expect(limitWords({ ...limit, fraction: 1 }, 3_000_000_001n)).toEqual([3n, 1n])
  expect(limitWords({ ...limit, fraction: 1000 }, 3_000_000_001n)).toEqual([3n, 1n])
  expect(limitWords({ ...limit, fraction: 1000 }, 2_999_999_999n)).toEqual([3n, 0n])
})

test('calls are told apart by their number', () => {
  expect(['poll', 'futex', 'read', 'accept4'].map((call) => isTimed(BigInt(native.syscalls[call]!)))).toEqual([true, true, false, false])
})
