import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { fdInfoField, parseFdInfo, readFdInfo } from '../../dist/core/proc/fdinfo.js'

const [F_SETFD, O_NONBLOCK, O_APPEND, O_RDWR, EFD_SEMAPHORE] = [2, 0o4000, 0o2000, 2, 1]

test('position, flags and close-on-exec of an open file', () => {
  const fd = openSync(fileURLToPath(import.meta.url), 'r')
  readSync(fd, Buffer.alloc(5))
  const before = readFdInfo(process.pid, fd)
  expect(before).toMatchObject({ position: 5n, closeOnExec: true })
  expect(before.mountId).toBeGreaterThan(0)
  native.fcntl(fd, F_SETFD, 0)
  expect(readFdInfo(process.pid, fd)).toMatchObject({ position: 5n, closeOnExec: false, flags: before.flags })
  closeSync(fd)
  expect(() => readFdInfo(process.pid, fd)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
})

test('flags are those it was opened with', () => {
  const fd = native.open('/dev/null', O_RDWR | O_APPEND | O_NONBLOCK)
  expect(readFdInfo(process.pid, fd).flags & (3 | O_APPEND | O_NONBLOCK)).toBe(O_RDWR | O_APPEND | O_NONBLOCK)
  closeSync(fd)
})

test('lines that only some kinds have', () => {
  const fd = native.eventfd(0x2a, EFD_SEMAPHORE)
  const { lines } = readFdInfo(process.pid, fd)
  closeSync(fd)
  expect(fdInfoField(lines, 'eventfd-count')).toBe('2a')
  expect(fdInfoField(lines, 'eventfd')).toBeUndefined()
  expect(fdInfoField(lines, 'tfd')).toBeUndefined()
})

test('crafted text: octal flags, positions beyond 2^53, empty lines', () => {
  const text = 'pos:\t9007199254740993\nflags:\t02100002\nmnt_id:\t29\n\nlock:\t1: FLOCK  ADVISORY  WRITE\nlock:\t2: POSIX\n'
  expect(parseFdInfo(text)).toEqual({
    position: 9007199254740993n,
    flags: 0o100002,
    closeOnExec: true,
    mountId: 29,
    lines: text.split('\n').filter((line) => line !== ''),
  })
  expect(fdInfoField(parseFdInfo(text).lines, 'lock')).toBe('1: FLOCK  ADVISORY  WRITE')
})

test('every descriptor of this process agrees with fcntl', () => {
  const own = Array.from({ length: 10 }, (_, fd) => fd).filter((fd) => {
    try {
      return readFileSync(`/proc/self/fdinfo/${fd}`).length > 0
    } catch {
      return false
    }
  })
  expect(own.length).toBeGreaterThan(2)
  for (const fd of own) expect(readFdInfo(process.pid, fd).closeOnExec).toBe((native.fcntl(fd, 1) & 1) === 1)
})
