import { closeSync, writeSync } from 'node:fs'
import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import type { Bundle } from '../../dist/core/program/bundle.js'
import { format } from '../../dist/core/program/format.js'
import { ucontext } from '../../dist/core/program/frame.js'
import type { Comparison, Expectation, Program } from '../../dist/core/program/program.js'
import { withRegisters } from '../../dist/core/program/registers.js'
import { field, readStatus } from '../../dist/core/proc/status.js'
import { code, codeAddress, exited, FILE, INPUT, interpret, numbers, OUTPUT, report, Run } from './interpreter.ts'

const [CLONE_THREAD, CLONE_VFORK, SIGCHLD] = [0x50f00n, 0x4000n, 17]
const [EPERM, EBADF, ENOSYS] = [1, 9, 38]

/** struct clone_args for a thread of the program, or for a forked child that is waited for. */
const threadArguments = (bundle: Bundle): bigint => bundle.words(CLONE_THREAD, 0, 0, 0, 0, bundle.stack() - 4096n, 4096, 0, 0, 0, 0)
const childArguments = (bundle: Bundle): bigint => bundle.words(CLONE_VFORK, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, 0)

const exit = (program: Program, status = 0): unknown => program.call('exit_group', [status])

test('a loop over a cell that its own operations fill', () => {
  const { output, status } = interpret((main, bundle) => {
    const count = bundle.allocate(8)
    const again = main.here
    const more = main.sum(main.load(count, 8), 3)
    main.store(count, more, 8)
    main.jump(again, 'less', more, 100)
    report(main, main.load(count, 8))
    exit(main, 7)
  })
  expect(numbers(output)).toEqual([102n])
  expect(status).toEqual(exited(7))
})

test.each<[Comparison, bigint, bigint, boolean]>([
  ['always', 0n, 1n, true],
  ['equal', 5n, 5n, true],
  ['equal', 5n, 5n + (1n << 32n), false],
  ['not-equal', 5n, 5n + (1n << 32n), true],
  ['not-equal', 5n, 5n, false],
  ['less', -1n, 1n, true],
  ['less', 1n, -1n, false],
  ['less', 1n, 1n, false],
])('a jump, %s: %d, %d', (how, left, right, taken) => {
  const { output, status } = interpret((main) => {
    const jump = main.jump(0, how, left, right)
    report(main, 0)
    jump.target = main.here
    report(main, 1)
    exit(main)
  })
  expect(numbers(output)).toEqual(taken ? [1n] : [0n, 1n])
  expect(status).toEqual(exited(0))
})

test.each([1, 2, 4, 8] as const)('loads and stores of %i bytes leave their neighbours alone', (width) => {
  const { output } = interpret((main, bundle) => {
    const place = bundle.words(0x8182838485868788n)
    const loaded = main.load(place, width)
    main.store(place, 0, width)
    report(main, loaded, main.load(place, 8))
    exit(main)
  })
  const kept = BigInt.asUintN(64, -1n << BigInt(width * 8)) * BigInt(width < 8)
  const loaded = 0x8182838485868788n & ~kept
  expect(numbers(output)).toEqual([BigInt.asIntN(64, loaded), BigInt.asIntN(64, 0x8182838485868788n & kept)])
})

test('copies as many bytes as a cell says', () => {
  const { output } = interpret((main, bundle) => {
    const to = bundle.bytes(Buffer.from('........'))
    main.copy(to, bundle.string('restored').value, main.sum(2, 3))
    main.call('write', [OUTPUT, to, 8])
    exit(main)
  })
  expect(output.toString()).toBe('resto...')
})

test('all six arguments of a call arrive, constants and cells', () => {
  const file = native.memfdCreate('content', 0)
  writeSync(file, Buffer.concat([Buffer.alloc(4096, 'a'), Buffer.alloc(4096, 'b')]))
  using run = new Run((main) => {
    const place = 0x3000_0000_0000n
    const offset = main.sum(4000, 96)
    main.call('mmap', [place, 4096, 1, 0x100002, FILE, offset], { equal: place })
    main.call('write', [OUTPUT, place, 3])
    exit(main)
  }, file)
  closeSync(file)
  expect(run.finish()).toEqual({ output: Buffer.from('bbb'), status: exited(0) })
})

test('numbers are multiplied, and divided towards zero, with their signs', () => {
  const { output } = interpret((main, bundle) => {
    const results = bundle.allocate(24)
    main.store(results, main.product(main.sum(20, 3), -1_000_000_000n), 8)
    main.store(results + 8n, main.quotient(main.load(results, 8), 999_999_999n), 8)
    main.store(results + 16n, main.quotient(main.sum(20, 3), 8n), 8)
    main.call('write', [OUTPUT, results, 24])
    exit(main)
  })
  expect([...new BigInt64Array(Uint8Array.from(output).buffer)]).toEqual([-23_000_000_000n, -23n, 2n])
})

test('a place for the result may be chosen before the call', () => {
  const { output } = interpret((main, bundle) => {
    const pid = bundle.cell('pid')
    main.callInto(pid, 'getpid', [])
    report(main, main.call('getpid'), pid)
    exit(main)
  })
  const [first, second] = numbers(output)
  expect(first).toBeGreaterThan(1n)
  expect(second).toBe(first)
})

test.each<[string, Expectation, boolean]>([
  ['close', 'ok', false],
  ['close', 'any', true],
  ['close', { equal: -EBADF }, true],
  ['close', { equal: 0 }, false],
  ['close', { orErrno: EBADF }, true],
  ['close', { orErrno: EPERM }, false],
  ['umask', 'ok', true],
  ['umask', { equal: 0o77 }, true],
  ['umask', { equal: 0o22 }, false],
  ['umask', { orErrno: EBADF }, true],
])('%s, expected %o', (name, expectation, passes) => {
  const { status } = interpret((main, bundle) => {
    main.onFailure = bundle.program('failed')
    exit(main.onFailure, 3)
    main.call('umask', [0o77], 'any')
    main.call(name, [name === 'umask' ? 0 : 999], expectation)
    exit(main)
  })
  expect(status).toEqual(exited(passes ? 0 : 3))
})

test('errors are what the kernel may return as such: -4095, and not the addresses below', () => {
  const status = (value: number): unknown =>
    interpret((main) => {
      const op = { ...main.jump(0), code: format.OP_SUM, args: [value, 0], expect: 'ok' as const }
      main.ops.splice(0, 1, op)
      exit(main)
    }).status
  expect(status(-4096)).toEqual(exited(0))
  expect(status(-4095)).toEqual(exited(1))
  expect(status(-1)).toEqual(exited(1))
})

test('the first failure is recorded, by its place over all programs, and the way of failing may fail itself', () => {
  const { output, status, bundle } = interpret((main, bundle) => {
    const failed = bundle.program('failed')
    const last = bundle.program('failed again')
    main.onFailure = failed
    failed.onFailure = last
    main.jump(1)
    main.call('close', [998])
    report(main, 0)
    failed.call('chdir', [0])
    const own = bundle.allocate(8)
    last.store(own, last.call('gettid'), 8)
    last.call('write', [OUTPUT, bundle.base + BigInt(format.OFFSETOF_BUNDLE_FAILED), 24])
    last.call('write', [OUTPUT, own, 8])
    exit(last)
  })
  expect(status).toEqual(exited(0))
  expect([output.readUInt32LE(0), output.readUInt32LE(4)]).toEqual([1, 1])
  const [result, tid, own] = numbers(output.subarray(8))
  expect(result).toBe(BigInt(-EBADF))
  expect(tid).toBe(own)
  expect(bundle.operation(output.readUInt32LE(4))?.op.name).toBe('close')
})

test('a failure that nobody takes over, and a program that runs off its end, end the process', () => {
  expect(interpret((main) => main.call('close', [998])).status).toEqual(exited(1))
  expect(interpret((main) => main.call('getpid')).status).toEqual(exited(1))
})

test('an operation of another version fails as a call that does not exist', () => {
  const { output } = interpret((main, bundle) => {
    main.onFailure = bundle.program('failed')
    main.call('getpid')
    main.ops.push({ ...main.ops[0]!, code: 999 })
    main.onFailure.call('write', [OUTPUT, bundle.base + BigInt(format.OFFSETOF_BUNDLE_FAILED_RESULT), 8])
    exit(main.onFailure)
  })
  expect(numbers(output)).toEqual([BigInt(-ENOSYS)])
})

test('the marker is a call that nobody has', () => {
  const { status } = interpret((main) => {
    main.marker()
    exit(main, 4)
  })
  expect(status).toEqual(exited(4))
})

test('threads: each runs its program, all share the cells, and wait for each other', () => {
  const { output, status } = interpret((main, bundle) => {
    const [done, go] = [bundle.allocate(4), bundle.allocate(4)]
    const tids = [1, 2, 3].map((n) => {
      const thread = bundle.program(`thread ${n}`)
      thread.waitFor(go, 5)
      const tid = thread.call('gettid')
      thread.add(done, 1, 3)
      thread.call('exit', [0])
      return [main.spawn(thread, threadArguments(bundle), 88), tid] as const
    })
    main.add(go, 7)
    main.add(go, -2)
    main.waitFor(done, tids.length)
    report(main, ...tids.flat())
    exit(main)
  })
  const [a, seenByA, b, seenByB, c, seenByC] = numbers(output)
  expect([seenByA, seenByB, seenByC]).toEqual([a, b, c])
  expect(new Set([a, b, c]).size).toBe(3)
  expect(status).toEqual(exited(0))
})

test('a forked child sees what was stored before, and its parent nothing of what it stores', () => {
  const { output, status } = interpret((main, bundle) => {
    const word = bundle.words(1)
    const child = bundle.program('child')
    const before = main.sum(20, 3)
    report(child, before, child.load(word, 8))
    child.store(word, 2, 8)
    child.callInto(before, 'close', [997], 'any')
    exit(child)
    main.call('wait4', [main.spawn(child, childArguments(bundle), 88), 0, 0, 0])
    report(main, before, main.load(word, 8))
    exit(main)
  })
  expect(numbers(output)).toEqual([23n, 1n, 23n, 1n])
  expect(status).toEqual(exited(0))
})

test('leaves with the registers and the signal mask of a frame', () => {
  const syscall = codeAddress + BigInt(Buffer.from(code).indexOf(Buffer.from([0x0f, 0x05])))
  let stack = 0n
  using run = new Run((main, bundle) => {
    stack = bundle.stack()
    // To a `read` of descriptor 3, which has no end: the kernel tells what it is made with.
    const call = { rax: native.syscalls['read']!, rdi: INPUT, rsi: 0x11, rdx: 0x22, r10: 0x33, r8: 0x44, r9: 0x55 }
    const place = { rip: syscall, rsp: stack, cs: 0x33, ss: 0x2b, eflags: 0x202 }
    const registers = withRegisters(new BigUint64Array(27), { ...call, ...place })
    main.leave(bundle.bytes(ucontext({ registers, signalMask: 0x1230_5000n }, 0n), 16))
  })
  const hexadecimal = [INPUT, 0x11, 0x22, 0x33, 0x44, 0x55, stack, syscall + 2n].map((value) => `0x${value.toString(16)}`)
  expect(run.sleepsIn('read')).toBe(['0', ...hexadecimal].join(' '))
  expect(field(readStatus(run.pid), 'SigBlk')).toBe('0000000012305000')
})
