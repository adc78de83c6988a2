import { closeSync, ftruncateSync, openSync, readFileSync, readlinkSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { openDescriptors, refusal, Target } from './harness.ts'

const PAGE = 4096n
const PAGE_IS_WRITTEN = 2n
const PAGE_IS_PRESENT = 8n
const O_RDWR_TMPFILE = 0o20200002

let before: string[]
beforeEach(() => {
  before = openDescriptors()
})
afterEach(() => {
  expect(openDescriptors()).toEqual(before)
})

function memfd(bytes: Uint8Array): number {
  const fd = native.memfdCreate('test', 0)
  writeSync(fd, bytes)
  return fd
}

/** Where a process has its stack. */
function stackRange(pid: number): [bigint, bigint] {
  const match = /^(\w+)-(\w+) .*\[stack\]$/m.exec(readFileSync(`/proc/${pid}/maps`, 'utf8'))
  return [BigInt(`0x${match?.[1]}`), BigInt(`0x${match?.[2]}`)]
}

test('reads and writes at offsets', () => {
  const fd = memfd(Uint8Array.of(1, 2, 3, 4))
  native.writeAt(fd, 2n, Uint8Array.of(9, 8, 7).subarray(1))
  expect(native.readAt(fd, 1n, 3)).toEqual(Uint8Array.of(2, 8, 7))
  expect(native.readAt(fd, 4n, 0)).toEqual(new Uint8Array())
  closeSync(fd)
})

test('a short read is an error', () => {
  const fd = memfd(Uint8Array.of(1, 2))
  expect(refusal(() => native.readAt(fd, 1n, 2))).toMatchObject({ code: 'EIO', syscall: 'pread64' })
  closeSync(fd)
  expect(refusal(() => native.writeAt(fd, 0n, Uint8Array.of(1)))).toMatchObject({ code: 'EBADF', syscall: 'pwrite64' })
})

test('reads the memory of another process', () => {
  using target = new Target()
  const fd = openSync(`/proc/${target.pid}/mem`, 'r')
  const [, end] = stackRange(target.pid)
  expect(Buffer.from(native.readAt(fd, end - PAGE, Number(PAGE))).includes('PATH=')).toBe(true)
  expect(refusal(() => native.readAt(fd, 0n, 1))).toMatchObject({ code: 'EIO', syscall: 'pread64' })
  closeSync(fd)
})

test('scans the pagemap', () => {
  using target = new Target()
  const fd = openSync(`/proc/${target.pid}/pagemap`, 'r')
  const [start, end] = stackRange(target.pid)
  const query = { inverted: 0n, required: PAGE_IS_PRESENT, anyOf: 0n, returned: PAGE_IS_PRESENT }
  const regions = native.scanPagemap(fd, start, end, query)
  expect(regions.length % 3).toBe(0)
  expect(regions.at(-2)).toBe(end)
  expect(regions.at(-1)).toBe(PAGE_IS_PRESENT)
  // Where nothing is mapped there is nothing, in however many pages.
  expect(native.scanPagemap(fd, 0x10000000000n, 0x10100000000n, query)).toHaveLength(0)
  expect(refusal(() => native.scanPagemap(fd, 1n, end, query))).toMatchObject({ code: 'EINVAL', syscall: 'ioctl(PAGEMAP_SCAN)' })
  closeSync(fd)
})

test('a scan of many ranges is whole and in order', () => {
  const fd = openSync('/proc/self/pagemap', 'r')
  const all = { inverted: 0n, required: 0n, anyOf: PAGE_IS_PRESENT, returned: PAGE_IS_PRESENT | PAGE_IS_WRITTEN }
  const regions = native.scanPagemap(fd, 0n, 0x7ffffffff000n, all)
  expect(regions.length / 3).toBeGreaterThan(100)
  for (let i = 3; i < regions.length; i += 3) {
    expect((regions[i] ?? 0n) >= (regions[i - 2] ?? 0n)).toBe(true)
    if (regions[i] === regions[i - 2]) expect(regions[i + 2]).not.toBe(regions[i - 1])
  }
  closeSync(fd)
})

test('memfds are named and close-on-exec', () => {
  const fd = native.memfdCreate('thaw-test', 0)
  expect(readlinkSync(`/proc/self/fd/${fd}`)).toBe('/memfd:thaw-test (deleted)')
  expect(native.fcntl(fd, 1)).toBe(1)
  closeSync(fd)
  expect(refusal(() => native.memfdCreate('x'.repeat(300), 0))).toMatchObject({ code: 'EINVAL', syscall: 'memfd_create' })
})

test.each(['memfd to memfd', 'memfd to file', 'pseudo file to memfd'])('copies inside the kernel: %s', (kinds) => {
  const content = Buffer.from('0123456789')
  const pseudo = kinds.startsWith('pseudo')
  const from = pseudo ? openSync('/proc/sys/kernel/ostype', 'r') : memfd(content)
  const to = kinds.endsWith('memfd') ? native.memfdCreate('to', 0) : native.open(tmpdir(), O_RDWR_TMPFILE)
  ftruncateSync(to, 8)
  writeSync(to, 'ab')
  native.copyRange(from, 1n, to, 3n, 4n)
  expect(Buffer.from(native.readAt(to, 3n, 4)).toString()).toBe(pseudo ? 'inux' : '1234')
  // The position of the target is where it was.
  writeSync(to, 'c')
  expect(Buffer.from(native.readAt(to, 0n, 3)).toString()).toBe('abc')
  expect(refusal(() => native.copyRange(from, 8n, to, 0n, 4n))).toMatchObject({ code: 'EIO', syscall: 'sendfile' })
  closeSync(from)
  closeSync(to)
})
