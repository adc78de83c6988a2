import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync, symlinkSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { openDescriptors, refusal } from './harness.ts'

const [F_GETFD, F_GETFL, F_GETLK, F_SETLK, F_GETOWN_EX, F_SETPIPE_SZ, F_GETPIPE_SZ] = [1, 3, 5, 6, 16, 1031, 1032]
const [O_NONBLOCK, O_PATH, O_NOFOLLOW, O_DIRECT] = [0o4000, 0o10000000, 0o400000, 0o40000]
const FIONREAD = 0x541b
const [POLLIN, POLLOUT, POLLHUP] = [1, 4, 16]

let before: string[]
let folder: string
beforeEach(() => {
  before = openDescriptors()
  folder = mkdtempSync(join(tmpdir(), 'thaw-test-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
  expect(openDescriptors()).toEqual(before)
})

test('status of paths, links and descriptors, as Node sees it', () => {
  const link = join(folder, 'link')
  symlinkSync('/dev/null', link)
  const expected = statSync('/dev/null', { bigint: true })
  const status = native.statPath(link)
  expect(status).toEqual({
    device: expected.dev,
    inode: expected.ino,
    mode: Number(expected.mode),
    rdev: expected.rdev,
    links: Number(expected.nlink),
    sizeBytes: expected.size,
    uid: Number(expected.uid),
    gid: Number(expected.gid),
  })
  expect(native.statPath(link, true)).toEqual(status)
  expect(native.statPath(link, false).mode & 0o170000).toBe(0o120000)
  const fd = openSync(link, 'r')
  expect(native.statFd(fd)).toEqual(status)
  closeSync(fd)
  expect(refusal(() => native.statPath('/none'))).toMatchObject({ code: 'ENOENT', syscall: 'stat', path: '/none' })
  expect(refusal(() => native.statPath('/none', false))).toMatchObject({ syscall: 'lstat' })
  expect(refusal(() => native.statFd(fd))).toMatchObject({ code: 'EBADF', syscall: 'fstat' })
})

test('open takes raw flags and makes close-on-exec descriptors', () => {
  const link = join(folder, 'link')
  symlinkSync('nowhere', link)
  const fd = native.open(link, O_PATH | O_NOFOLLOW)
  expect(native.statFd(fd).mode & 0o170000).toBe(0o120000)
  expect(native.fcntl(fd, F_GETFD)).toBe(1)
  closeSync(fd)
  const made = native.open(join(folder, 'made'), 0o101, 0o640)
  expect(native.statFd(made).mode & 0o777).toBe(0o640 & ~process.umask())
  closeSync(made)
  expect(refusal(() => native.open(link, 0))).toMatchObject({
    message: `open '${link}': ENOENT, No such file or directory`,
    code: 'ENOENT',
    path: link,
  })
})

test('fcntl with numbers and with structures', () => {
  const [reader, writer] = native.pipe(O_NONBLOCK | O_DIRECT)
  expect(native.fcntl(writer, F_GETFL) & (O_NONBLOCK | O_DIRECT)).toBe(O_NONBLOCK | O_DIRECT)
  native.fcntl(writer, F_SETPIPE_SZ, 8192)
  expect(native.fcntl(reader, F_GETPIPE_SZ)).toBe(8192)
  const owner = new Uint8Array(8).fill(0xff)
  native.fcntlBuffer(reader, F_GETOWN_EX, owner)
  expect(owner).toEqual(new Uint8Array(8))
  closeSync(reader)
  closeSync(writer)
  expect(refusal(() => native.fcntl(reader, F_GETFL))).toMatchObject({ code: 'EBADF', syscall: 'fcntl' })

  const file = openSync(join(folder, 'locked'), 'w+')
  const lock = new Uint8Array(32)
  lock[0] = 1 // F_WRLCK
  native.fcntlBuffer(file, F_SETLK, lock)
  native.fcntlBuffer(file, F_GETLK, lock)
  expect(lock[0]).toBe(2) // F_UNLCK: one's own locks are no obstacle
  closeSync(file)
})

test('ioctl changes its buffer in place and nothing beyond', () => {
  const [reader, writer] = native.pipe(0)
  writeSync(writer, 'abc')
  const memory = new Uint8Array(12)
  expect(native.ioctl(reader, FIONREAD, memory.subarray(4, 8))).toBe(0)
  expect(memory).toEqual(Uint8Array.of(0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0))
  // A buffer that is too short gets what fits.
  native.ioctl(reader, FIONREAD, memory.subarray(0, 1))
  expect(memory).toEqual(Uint8Array.of(3, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0))
  expect(refusal(() => native.ioctl(reader, 0x5401, new Uint8Array(64)))).toMatchObject({ code: 'ENOTTY', syscall: 'ioctl' })
  closeSync(reader)
  closeSync(writer)
})

test('tee leaves what it copies', () => {
  const [reader, writer] = native.pipe(0)
  const [copyReader, copyWriter] = native.pipe(0)
  writeSync(writer, 'hello')
  expect(native.tee(reader, copyWriter, 100, 2)).toBe(5)
  const buffer = Buffer.alloc(5)
  for (const fd of [reader, copyReader]) {
    readSync(fd, buffer)
    expect(buffer.toString()).toBe('hello')
  }
  expect(refusal(() => native.tee(reader, copyWriter, 100, 2))).toMatchObject({ code: 'EAGAIN', syscall: 'tee' })
  for (const fd of [reader, writer, copyReader, copyWriter]) closeSync(fd)
})

test('read and poll: nothing yet, something, the end', () => {
  const [reader, writer] = native.pipe(O_NONBLOCK)
  expect(native.poll(reader, POLLIN, 0)).toBe(0)
  expect(native.read(reader, 10)).toBeNull()
  writeSync(writer, 'ab')
  expect(native.poll(reader, POLLIN, -1)).toBe(POLLIN)
  expect(native.poll(writer, POLLOUT, 1000)).toBe(POLLOUT)
  expect(Buffer.from(native.read(reader, 10) ?? []).toString()).toBe('ab')
  closeSync(writer)
  expect(native.poll(reader, POLLIN, 1000)).toBe(POLLHUP)
  expect(native.read(reader, 10)).toEqual(new Uint8Array())
  closeSync(reader)
  expect(refusal(() => native.read(reader, 1))).toMatchObject({ code: 'EBADF', syscall: 'read' })
})

test('poll waits as long as it was told', () => {
  const [reader, writer] = native.pipe(0)
  const start = process.hrtime.bigint()
  expect(native.poll(reader, POLLIN, 30)).toBe(0)
  expect(process.hrtime.bigint() - start).toBeGreaterThanOrEqual(30_000_000n)
  closeSync(reader)
  closeSync(writer)
})

test('eventfd begins with its number', () => {
  const fd = native.eventfd(7, O_NONBLOCK)
  expect(Buffer.from(native.read(fd, 8) ?? []).readBigUInt64LE()).toBe(7n)
  expect(native.read(fd, 8)).toBeNull()
  closeSync(fd)
  expect(refusal(() => native.eventfd(0, 0x40000000))).toMatchObject({ code: 'EINVAL', syscall: 'eventfd' })
})

test('refused flags make no descriptors', () => {
  expect(refusal(() => native.pipe(0x40000000))).toMatchObject({ code: 'EINVAL', syscall: 'pipe2' })
})
