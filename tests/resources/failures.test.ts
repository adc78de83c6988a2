import { expect, test } from 'vitest'
import type { Operation } from '../../dist/core/program/program.js'
import { explainFailure } from '../../dist/core/resources/failures.js'

const failed = (name: string, purpose: string): Operation => ({ name, purpose, args: [] }) as unknown as Operation
const ENOENT = 2
const EAGAIN = 11
const EADDRINUSE = 98
const EACCES = 13
const EPROTOTYPE = 91
const EADDRNOTAVAIL = 99
const ENODEV = 19
const EPERM = 1
const ENOPROTOOPT = 92
const EEXIST = 17

test.each([
  ['bind', 'descriptor 3 (tcp listener): TCP port 3000', EADDRINUSE, 'THAW_PORT_TAKEN'],
  ['listen', 'descriptor 3 (tcp listener): TCP port 3000', EADDRINUSE, 'THAW_PORT_TAKEN'],
  ['bind', 'descriptor 3 (tcp listener): TCP port 80', EACCES, 'THAW_PORT_REFUSED'],
  ['bind', 'descriptor 3 (unix socket): name @x', EADDRINUSE, 'THAW_NAME_TAKEN'],
  ['bind', 'descriptor 3 (unix socket): name /run/x', EADDRINUSE, 'THAW_NAME_TAKEN'],
  ['connect', 'descriptor 3 (unix socket): name /run/x', EPROTOTYPE, 'THAW_NAME_TAKEN'],
  ['connect', 'descriptor 3 (unix socket): name /run/x', EACCES, 'THAW_NAME_TAKEN'],
  ['bind', 'descriptor 3 (udp socket): UDP port 53', EADDRNOTAVAIL, 'THAW_ADDRESS_MISSING'],
  ['setsockopt', 'descriptor 3 (udp socket): multicast group 224.0.0.251 on interface 2', ENODEV, 'THAW_INTERFACE_MISSING'],
  ['bind', 'descriptor 3 (packet socket): interface 2', ENODEV, 'THAW_INTERFACE_MISSING'],
  ['socket', 'descriptor 3 (raw socket)', EPERM, 'THAW_RAW_PRIVILEGE'],
  ['socket', 'descriptor 3 (tcp listener)', ENOPROTOOPT, 'THAW_MPTCP_OFF'],
  ['mq_open', 'descriptor 3 (message queue)', EEXIST, 'THAW_NAME_TAKEN'],
  ['connect', 'descriptor 3 (tcp connection): TCP connection 127.0.0.1:1 to 127.0.0.1:2', EADDRNOTAVAIL, 'THAW_PORT_TAKEN'],
  ['fcntl', 'descriptor 3 (regular file): POSIX lock on /data', EAGAIN, 'THAW_FILE_LOCKED'],
  ['flock', 'descriptor 3 (regular file): flock on /data', EAGAIN, 'THAW_FILE_LOCKED'],
])('%s for %s', (name, purpose, errno, code) => {
  expect(explainFailure(failed(name, purpose), errno)?.code).toBe(code)
})

test('other failures have no words of their own', () => {
  expect(explainFailure(failed('openat', 'descriptor 3 (regular file)'), EACCES)).toBeUndefined()
})

test.each([
  ['/tmp/hsperfdata_ada/7', /start it with -XX:-UsePerfData/i],
  ['/tmp/data', /Put the same file back/],
])('a file that is gone: %s', (path, words) => {
  const open = { ...failed('openat', '0x1000-0x2000 of pid 7'), args: [-100, { text: JSON.stringify(path) }] } as unknown as Operation
  expect(explainFailure(open, ENOENT)).toMatchObject({ code: 'THAW_FILE_CHANGED', path, message: expect.stringMatching(words) as string })
})

test('a named pipe that somebody has, and one that is gone', () => {
  const reads = { ...failed('openat', 'descriptor 3 (named pipe): nobody else reads from /pipe'), args: [-100, { text: '"/pipe"' }] }
  expect(explainFailure(reads as unknown as Operation, 0)).toMatchObject({ code: 'THAW_PIPE_IN_USE', path: '/pipe' })
  expect(explainFailure(reads as unknown as Operation, ENOENT)).toMatchObject({ code: 'THAW_FILE_CHANGED', path: '/pipe' })
})
