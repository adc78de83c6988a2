import { expect, test } from 'vitest'
import { Bundle } from '../../dist/core/program/bundle.js'
import { readFailure } from '../../dist/core/restore/failure.js'

const [EPERM, ENOENT, EACCES, EISDIR, EMFILE, EADDRINUSE, UNNAMED] = [1, 2, 13, 21, 24, 98, 4000]

/** As the interpreter writes it, somewhere in a larger buffer. */
function record(operation: number, result: number): Uint8Array {
  const bytes = Buffer.alloc(40)
  bytes.writeUInt32LE(1, 8)
  bytes.writeUInt32LE(operation, 12)
  bytes.writeBigInt64LE(BigInt(result), 16)
  return bytes.subarray(8, 32)
}

function bundle(): Bundle {
  const bundle = new Bundle(0x2000_0000_0000n)
  bundle.program('template').call('getpid')
  const root = bundle.program('root 12')
  root.for('descriptor 7 (regular file)', () => root.call('openat', [-100, bundle.string('/data'), 2]))
  root.for('descriptor 8 (tcp listener): TCP port 3000', () => root.call('bind', [8, 0, 16]))
  root.call('mmap', [0x1000, 4096], { equal: 0x1000 })
  root.for('limits', () => root.call('prlimit64', [0, 7, 0x3000, 0]))
  return bundle
}

const failure = (operation: number, result: number): unknown => readFailure(record(operation, result), bundle(), 'instance')

test('a failed call is named with what it was for, its arguments and why', () => {
  expect(failure(1, -EISDIR)).toMatchObject({
    name: 'RestoreError',
    code: 'THAW_RESTORE',
    syscall: 'openat',
    errno: EISDIR,
    message: 'Cannot restore descriptor 7 (regular file): openat(-100, "/data", 2) = <openat#0>: EISDIR.',
  })
})

test('without a purpose, the program is named; a result that is no error is told', () => {
  expect(failure(3, 0x2000)).toMatchObject({
    code: 'THAW_RESTORE',
    syscall: 'mmap',
    errno: 0,
    message: expect.stringMatching(/^Cannot restore root 12: mmap\(4096, 4096\) = <mmap#2> \(must be 4096\): gave 8192\.$/),
  })
})

test('an error without a name is told by its number', () => {
  expect(failure(0, -UNNAMED)).toMatchObject({ message: 'Cannot restore template: getpid() = <getpid#0>: error 4000.', errno: UNNAMED })
})

test('what to do is said where it is known', () => {
  expect(failure(2, -EADDRINUSE)).toMatchObject({
    name: 'RestoreError',
    code: 'THAW_PORT_TAKEN',
    syscall: 'bind',
    errno: EADDRINUSE,
    message: expect.stringContaining('port 3000'),
  })
})

test('a file that is gone, or not open to this user, is named', () => {
  expect(failure(1, -ENOENT)).toMatchObject({
    code: 'THAW_FILE_CHANGED',
    path: '/data',
    message: expect.stringMatching(/^Cannot restore descriptor 7 \(regular file\): \/data is gone /),
  })
  expect(failure(1, -EACCES)).toMatchObject({ code: 'THAW_FILE_REFUSED', path: '/data', message: expect.stringContaining('EACCES') })
})

test('no number is left for a descriptor', () => {
  expect(failure(1, -EMFILE)).toMatchObject({ code: 'THAW_OPEN_FILES', errno: EMFILE, message: expect.stringContaining('ulimit -Hn') })
})

test('a limit that is above that of who restores', () => {
  expect(failure(4, -EPERM)).toMatchObject({ code: 'THAW_LIMIT', message: expect.stringMatching(/^Cannot restore limits: .*ulimit -H/) })
})

test('an operation that there is not', () => {
  expect(failure(5, -ENOENT)).toMatchObject({
    code: 'THAW_RESTORE',
    message: 'Cannot restore: an operation of the instance failed (ENOENT).',
  })
})
