import { closeSync, fstatSync, openSync } from 'node:fs'
import { getPriority } from 'node:os'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { openDescriptors, refusal, Target } from './harness.ts'

const KCMP_FILE = 0
const KCMP_VM = 1
const F_DUPFD_CLOEXEC = 1030
const absent = 0x3fffff

let before: string[]
beforeEach(() => {
  before = openDescriptors()
})
afterEach(() => {
  expect(openDescriptors()).toEqual(before)
})

test('pidfd: open, fetch a descriptor, signal', () => {
  using target = new Target()
  const pidfd = native.pidfdOpen(target.pid)
  const fetched = native.pidfdGetfd(pidfd, 0)
  expect(native.kcmp(process.pid, target.pid, KCMP_FILE, fetched, 0)).toBe(0)
  expect(native.kcmp(process.pid, target.pid, KCMP_FILE, pidfd, 0)).toBeGreaterThan(0)
  closeSync(fetched)
  native.pidfdSendSignal(pidfd, 0)
  expect(refusal(() => native.pidfdGetfd(pidfd, 500))).toMatchObject({ code: 'EBADF', syscall: 'pidfd_getfd' })
  expect(refusal(() => native.pidfdSendSignal(pidfd, 999))).toMatchObject({ code: 'EINVAL', syscall: 'pidfd_send_signal' })
  closeSync(pidfd)
})

test('absent processes are named', () => {
  expect(refusal(() => native.pidfdOpen(absent))).toMatchObject({ code: 'ESRCH', syscall: 'pidfd_open', pid: absent })
  expect(refusal(() => native.kill(absent, 0))).toMatchObject({ code: 'ESRCH', syscall: 'kill', pid: absent })
  expect(refusal(() => native.kcmp(absent, absent, KCMP_VM, 0, 0))).toMatchObject({ code: 'ESRCH', syscall: 'kcmp' })
  expect(refusal(() => native.readTask(absent))).toMatchObject({ code: 'ESRCH', syscall: 'sched_getscheduler', pid: absent })
  expect(refusal(() => native.getRobustList(absent))).toMatchObject({ code: 'ESRCH', syscall: 'get_robust_list' })
})

test('kcmp tells duplicates from others', () => {
  const one = openSync('/dev/null', 'r')
  const other = openSync('/dev/null', 'r')
  const duplicate = native.fcntl(one, F_DUPFD_CLOEXEC, 0)
  expect(native.kcmp(process.pid, process.pid, KCMP_FILE, one, duplicate)).toBe(0)
  const order = native.kcmp(process.pid, process.pid, KCMP_FILE, one, other)
  expect([order, native.kcmp(process.pid, process.pid, KCMP_FILE, other, one)].toSorted()).toEqual([1, 2])
  expect(fstatSync(one).ino).toBe(fstatSync(other).ino)
  for (const fd of [one, other, duplicate]) closeSync(fd)
})

test('reads how a task is scheduled', () => {
  using target = new Target('/usr/bin/nice', ['-n', '5', 'ionice', '-c', '2', '-n', '6', 'taskset', '1', 'cat'])
  expect(native.readTask(target.pid)).toMatchObject({ policy: 0, priority: 0, nice: getPriority() + 5, ioPriority: (2 << 13) | 6 })
  const { affinity } = native.readTask(target.pid)
  expect(affinity.length % 8).toBe(0)
  expect(affinity[0]).toBe(1)
  expect(affinity.subarray(1).every((byte) => byte === 0)).toBe(true)
})

test('reads the robust list', () => {
  using target = new Target()
  const { head, length } = native.getRobustList(target.pid)
  expect(head).toBeGreaterThan(0n)
  expect(length).toBe(24n)
})

test('reads clocks', () => {
  const before = process.hrtime.bigint()
  const now = native.clockGettime(1)
  expect(now).toBeGreaterThanOrEqual(before)
  expect(now).toBeLessThanOrEqual(process.hrtime.bigint())
  expect(refusal(() => native.clockGettime(99))).toMatchObject({ code: 'EINVAL', syscall: 'clock_gettime' })
})
