import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { Bundle, shown } from '../../dist/core/program/bundle.js'
import { format } from '../../dist/core/program/format.js'
import { describeOperation, printBundle, printOperation } from '../../dist/core/program/print.js'
import type { Expectation } from '../../dist/core/program/program.js'

const BASE = 0x2000_0000_0000n

/** The encoded bundle, read by the addresses in its header. */
function encode(bundle: Bundle): { view: DataView; programs: number; ops: number; cells: number } {
  const bytes = bundle.encode()
  const view = new DataView(bytes.buffer)
  const [programs = 0, ops = 0, cells = 0] = [24, 32, 40].map((at) => Number(view.getBigUint64(at, true) - bundle.base))
  return { view, programs, ops, cells }
}

test('the header says where everything stands, in whole pages', () => {
  const bundle = new Bundle(BASE)
  const main = bundle.program('main')
  bundle.bytes(Buffer.alloc(4097, 'x'), 1)
  main.call('getpid')
  main.call('getppid')
  const { view, programs, ops, cells } = encode(bundle)
  expect([view.getUint32(0, true), view.getUint16(4, true), view.getUint16(6, true)]).toEqual([
    format.MAGIC,
    format.VERSION,
    format.SIZEOF_OP,
  ])
  expect(view.getBigUint64(8, true)).toBe(BASE)
  expect(view.getBigUint64(16, true)).toBe(BigInt(view.byteLength))
  expect(view.byteLength).toBe(8192)
  expect(programs).toBe(Math.ceil((format.SIZEOF_BUNDLE + 4097) / 8) * 8)
  expect(ops).toBe(programs + format.SIZEOF_PROGRAM)
  expect(cells).toBe(ops + 2 * format.SIZEOF_OP)
  expect([view.getUint32(48, true), view.getUint32(52, true)]).toEqual([1, 2])
  expect(new Uint8Array(view.buffer, format.OFFSETOF_BUNDLE_FAILED, 24)).toEqual(new Uint8Array(24))
})

test('data stands at the addresses that were given out, aligned and apart', () => {
  const bundle = new Bundle(BASE)
  const text = bundle.string('é')
  const words = bundle.words(-1, 2n)
  const aligned = bundle.bytes(Uint8Array.of(7), 64)
  const room = bundle.allocate(100)
  const after = bundle.allocate(1, 1)
  const top = bundle.stack(4096)
  expect(words % 8n).toBe(0n)
  expect(aligned % 64n).toBe(0n)
  expect(after).toBe(room + 100n)
  expect(top % 16n).toBe(0n)
  expect(top - 4096n).toBeGreaterThan(after)
  const bytes = Buffer.from(bundle.encode())
  const at = (address: bigint): number => Number(address - BASE)
  expect(bytes.subarray(at(text.value), at(text.value) + 3)).toEqual(Buffer.from('é\0'))
  expect([bytes.readBigInt64LE(at(words)), bytes.readBigInt64LE(at(words) + 8)]).toEqual([-1n, 2n])
  expect(bytes[at(aligned)]).toBe(7)
})

test('programs take their operations one after the other, and name who takes over', () => {
  const bundle = new Bundle(BASE)
  const failed = bundle.program('failed')
  const main = bundle.program('main', failed)
  main.call('getpid')
  failed.call('getppid')
  main.call('gettid')
  const { view, programs } = encode(bundle)
  const words = [0, 1].map((i) => [0, 4, 8].map((at) => view.getUint32(programs + i * format.SIZEOF_PROGRAM + at, true)))
  expect(words).toEqual([
    [0, 1, format.NO_PROGRAM],
    [1, 2, 0],
  ])
  expect([0, 1, 2, 3].map((i) => bundle.operation(i)?.op.name)).toEqual(['getppid', 'getpid', 'gettid', undefined])
  expect(bundle.operation(1)?.program).toBe(main)
})

test('an operation: code, number, constants, cells, result', () => {
  const bundle = new Bundle(BASE)
  const main = bundle.program('main')
  const first = main.call('getpid')
  const second = main.call('openat', [-100, shown(0xffff_ffff_ffff_fff0n, 'top'), first, 4, 5n, -1n], { orErrno: 2 })
  const { view, ops } = encode(bundle)
  const at = ops + format.SIZEOF_OP
  expect(view.getUint16(at, true)).toBe(format.OP_SYSCALL)
  expect(view.getUint16(at + format.OFFSETOF_OP_NR, true)).toBe(native.syscalls['openat'])
  expect(view.getUint8(at + format.OFFSETOF_OP_CELLS)).toBe(0b100)
  expect(view.getUint32(at + format.OFFSETOF_OP_OUT, true)).toBe(second.cell)
  expect([0, 1, 2, 3, 4, 5].map((i) => view.getBigInt64(at + format.OFFSETOF_OP_ARGS + i * 8, true))).toEqual([
    -100n,
    -16n,
    BigInt(first.cell),
    4n,
    5n,
    -1n,
  ])
  expect(bundle.cellOffset(second)).toBe(encode(bundle).cells + 8)
})

test.each<[Expectation, number, bigint]>([
  ['any', format.EXPECT_ANY, 0n],
  ['ok', format.EXPECT_OK, 0n],
  [{ equal: 0x7fff_ffff_f000n }, format.EXPECT_EQUAL, 0x7fff_ffff_f000n],
  [{ equal: -22 }, format.EXPECT_EQUAL, -22n],
  [{ orErrno: 17 }, format.EXPECT_OK_OR, -17n],
])('expectation %o', (expectation, code, expected) => {
  const bundle = new Bundle(BASE)
  bundle.program('main').call('getpid', [], expectation)
  const { view, ops } = encode(bundle)
  expect(view.getUint8(ops + format.OFFSETOF_OP_EXPECT)).toBe(code)
  expect(view.getBigInt64(ops + format.OFFSETOF_OP_EXPECTED, true)).toBe(expected)
})

test('widths, comparisons and targets', () => {
  const bundle = new Bundle(BASE)
  const child = bundle.program('child')
  const main = bundle.program('main')
  main.load(1n, 2)
  main.store(1n, 2n, 4)
  main.jump(5, 'less', 1, 2)
  main.jump(6)
  main.spawn(child, 64n, 88)
  main.copy(1n, 2n, 3)
  main.marker()
  const { view, ops } = encode(bundle)
  const seen = main.ops.map((_, i) => {
    const at = ops + i * format.SIZEOF_OP
    const out = view.getUint32(at + format.OFFSETOF_OP_OUT, true) !== format.NO_CELL
    const [code, nr] = [view.getUint16(at, true), view.getUint16(at + format.OFFSETOF_OP_NR, true)]
    return [code, nr, view.getUint32(at + format.OFFSETOF_OP_TARGET, true), out]
  })
  expect(seen).toEqual([
    [format.OP_LOAD, 2, 0, true],
    [format.OP_STORE, 4, 0, false],
    [format.OP_JUMP, format.COMPARE_LESS, 5, false],
    [format.OP_JUMP, format.COMPARE_ALWAYS, 6, false],
    [format.OP_SPAWN, 0, child.index, true],
    [format.OP_COPY, 0, 0, false],
    [format.OP_SYSCALL, format.MARKER_SYSCALL, 0, false],
  ])
})

test('what cannot be a call is refused when it is added', () => {
  const main = new Bundle(BASE).program('main')
  expect(() => main.call('openfile')).toThrow('no system call is named openfile')
  expect(() => main.call('mmap', [1, 2, 3, 4, 5, 6, 7])).toThrow('mmap takes at most 6 arguments')
  expect(main.ops).toEqual([])
})

test('programs as text', () => {
  const bundle = new Bundle(BASE)
  const child = bundle.program('thread 7')
  const main = bundle.program('root 1')
  main.for('descriptor 7', () => {
    const fd = main.call('openat', [shown(-100, 'AT_FDCWD'), bundle.string('/etc/"hosts"'), 0x80000], { orErrno: 2 })
    main.for('flags', () => main.call('fcntl', [fd, -65537, -65536], { equal: 3 }))
    main.call('close', [fd], 'any')
  })
  main.jump(0, 'not-equal', 1, 2)
  main.spawn(child, 64n, 88)
  expect(printBundle(bundle)).toBe(`program 0 thread 7 (0 operations)

program 1 root 1 (5 operations)
  # descriptor 7
     0  openat(AT_FDCWD, "/etc/\\"hosts\\"", 0x80000) = <openat#0> (or errno 2)
  # descriptor 7: flags
     1  fcntl(<openat#0>, 0xfffffffffffeffff, -65536) = <fcntl#1> (must be 3)
  # descriptor 7
     2  close(<openat#0>) = <close#2> (any)
     3  jump-not-equal(1, 2) → 0 (any)
     4  clone3(64, 88) {thread 7} = <thread 7.pid>`)
  expect(describeOperation(main.ops[1]!)).toBe(`descriptor 7: flags: ${printOperation(main.ops[1]!)}`)
  expect(describeOperation(main.ops[3]!)).toBe('jump-not-equal(1, 2) → 0 (any)')
})
