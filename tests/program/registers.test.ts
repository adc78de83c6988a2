import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { get, reg, restartable, withRegisters } from '../../dist/core/program/registers.js'

const RIP = 0x7000_0000_1000n
const [EINTR, ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK] = [4, 512, 513, 514, 516]
const [FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_PRIVATE, FUTEX_CLOCK_REALTIME] = [0, 9, 128, 256]

type Changes = Parameters<typeof withRegisters>[1]

/** Right behind the `syscall` of an interrupted call, each register with a value of its own. */
function interrupted(call: string, errno: number, args: Changes = {}): BigUint64Array {
  const all = BigUint64Array.from({ length: 27 }, (_, i) => 0x1000n + BigInt(i))
  return withRegisters(all, { rip: RIP, rax: -errno, origRax: native.syscalls[call]!, ...args })
}

/** The call is made anew, with these arguments changed. */
const again = (before: BigUint64Array, changes: Changes = {}): BigUint64Array =>
  withRegisters(before, { rip: RIP - 2n, rax: get(before, 'origRax'), origRax: -1, ...changes })
/** The call has returned EINTR. */
const returned = (before: BigUint64Array): BigUint64Array => withRegisters(before, { rax: -EINTR, origRax: -1 })

test.each([ERESTARTSYS, ERESTARTNOINTR])('error %i: the call is made anew, after a handler with SA_RESTART too', (errno) => {
  const before = interrupted('read', errno)
  expect(restartable(before, 'none')).toEqual(again(before))
  expect(restartable(before, 'restarts')).toEqual(again(before))
})

test('a handler without SA_RESTART ends a call, but for one that nothing interrupts', () => {
  const [read, openat] = [interrupted('read', ERESTARTSYS), interrupted('openat', ERESTARTNOINTR)]
  expect(restartable(read, 'interrupts')).toEqual(returned(read))
  expect(restartable(openat, 'interrupts')).toEqual(again(openat))
})

test('ERESTARTNOHAND: pause returns to the handler of a pending signal, else goes on', () => {
  const before = interrupted('pause', ERESTARTNOHAND)
  expect(restartable(before, 'none')).toEqual(again(before))
  expect(restartable(before, 'restarts')).toEqual(returned(before))
  expect(restartable(before, 'interrupts')).toEqual(returned(before))
})

test.each<[string, Changes, Changes | 'EINTR']>([
  ['nanosleep', { rdi: 0x100, rsi: 0x200 }, { rdi: 0x200 }],
  ['nanosleep', { rdi: 0x100, rsi: 0 }, 'EINTR'],
  ['clock_nanosleep', { rsi: 0, rdx: 0x100, r10: 0x200 }, { rdx: 0x200 }],
  ['clock_nanosleep', { rsi: 0, rdx: 0x100, r10: 0 }, 'EINTR'],
  ['clock_nanosleep', { rsi: 1, rdx: 0x100, r10: 0x200 }, {}],
  ['clock_nanosleep', { rsi: 1, rdx: 0x100, r10: 0 }, {}],
  ['futex', { rsi: FUTEX_WAIT_BITSET }, {}],
  ['futex', { rsi: FUTEX_WAIT_BITSET | FUTEX_PRIVATE | FUTEX_CLOCK_REALTIME }, {}],
  ['futex', { rsi: FUTEX_WAIT | FUTEX_PRIVATE }, 'EINTR'],
  ['poll', { rdx: -1 }, {}],
  ['poll', { rdx: 0xffff_ffffn }, {}],
  ['poll', { rdx: 5000 }, 'EINTR'],
])('ERESTART_RESTARTBLOCK: %s %o', (call, args, goesOn) => {
  const before = interrupted(call, ERESTART_RESTARTBLOCK, args)
  expect(restartable(before, 'none')).toEqual(goesOn === 'EINTR' ? returned(before) : again(before, goesOn))
  expect(restartable(before, 'none', true)).toEqual(again(before))
  expect(restartable(before, 'restarts', true)).toEqual(returned(before))
})

test.each<[string, Changes, boolean]>([
  ['epoll_wait', { r10: -1 }, true],
  ['epoll_wait', { r10: 0xffff_ffffn }, true],
  ['epoll_wait', { r10: 0 }, false],
  ['epoll_wait', { r10: 5000 }, false],
  ['epoll_pwait', { r10: -1 }, true],
  ['epoll_pwait', { r10: 5000 }, false],
  ['epoll_pwait2', { r10: 0 }, true],
  ['epoll_pwait2', { r10: 0x100 }, false],
  ['rt_sigtimedwait', { rdx: 0 }, true],
  ['rt_sigtimedwait', { rdx: 0x100 }, false],
  ['semop', {}, true],
  ['semtimedop', { r10: 0 }, true],
  ['semtimedop', { r10: 0x100 }, false],
  ['recvfrom', {}, true],
  ['accept4', {}, true],
  ['connect', { r10: -1 }, false],
])('EINTR: %s %o', (call, args, goesOn) => {
  const before = interrupted(call, EINTR, args)
  expect(restartable(before, 'none')).toEqual(goesOn ? again(before) : before)
  expect(restartable(before, 'none', true)).toEqual(again(before))
  expect(restartable(before, 'restarts')).toEqual(before)
})

test.each([-38, -11, 0, 5, -515, -511])('a call that ended with %i has ended', (result) => {
  const before = interrupted('read', -result)
  expect(restartable(before, 'none', true)).toEqual(before)
  expect(restartable(before, 'interrupts')).toEqual(before)
})

test.each([-ERESTARTSYS, -EINTR, -ERESTART_RESTARTBLOCK])('outside of any call, %i in rax is a number like others', (rax) => {
  const before = interrupted('epoll_wait', 0, { rax, r10: -1, origRax: -1 })
  expect(restartable(before, false)).toEqual(before)
})

test('registers are changed in a copy, by name, as 64 bits', () => {
  const before = new BigUint64Array(27)
  const after = withRegisters(before, { r15: 1, gs: -1, origRax: 3n })
  expect([after[0], after[26], after[15]]).toEqual([1n, 0xffff_ffff_ffff_ffffn, 3n])
  expect(before).toEqual(new BigUint64Array(27))
  expect(Object.values(reg)).toEqual(Array.from({ length: 27 }, (_, i) => i))
})
