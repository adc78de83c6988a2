import { closeSync, openSync, writeSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { openDescriptors, refusal, Target } from './harness.ts'

const [AF_UNIX, AF_INET] = [1, 2]
const [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_NONBLOCK] = [1, 2, 5, 0o4000]
const SOL_SOCKET = 1
const [SO_TYPE, SO_SNDBUF, SO_PASSCRED, SO_PROTOCOL, SO_PEEK_OFF, SO_NETNS_COOKIE] = [3, 7, 16, 38, 42, 71]
const [MSG_PEEK, MSG_DONTWAIT] = [2, 0x40]

let before: string[]
beforeEach(() => {
  before = openDescriptors()
})
afterEach(() => {
  expect(openDescriptors()).toEqual(before)
})

const close = (...fds: readonly number[]): void => fds.forEach((fd) => closeSync(fd))
const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString()
const cookie = (fd: number): Uint8Array => native.getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, 8)
const loopback = (port: number): Uint8Array => Uint8Array.of(AF_INET, 0, port >> 8, port & 255, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)

test('the state of a TCP connection, which nothing is seen of afterwards', () => {
  const SO_REUSEADDR = 2
  const int = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer)
  const listener = native.socket(AF_INET, SOCK_STREAM, 0)
  native.bindSocket(listener, loopback(0))
  native.listenSocket(listener, 1)
  const client = native.socket(AF_INET, SOCK_STREAM, 0)
  native.setsockopt(client, SOL_SOCKET, SO_REUSEADDR, int(1))
  native.connectSocket(client, native.getsockname(listener))
  const server = Number(native.syscall('accept4', [listener, 0, 0, 0]))
  native.sendMessage(server, Buffer.from('to the client'), [])
  native.setsockopt(client, SOL_SOCKET, SO_PEEK_OFF, int(3))
  const state = native.readTcpState(client)
  expect(native.readTcpState(client)).toMatchObject({ receiveSequence: state.receiveSequence, received: state.received })
  expect(text(state.received)).toBe('to the client')
  expect(state.sent).toHaveLength(0)
  expect(native.readTcpState(server).sendSequence).toBe(state.receiveSequence)
  expect(native.getsockopt(client, SOL_SOCKET, SO_REUSEADDR, 4)).toEqual(int(1))
  expect(native.getsockopt(client, SOL_SOCKET, SO_PEEK_OFF, 4)).toEqual(int(3))
  expect(text(native.receiveMessage(client, 20, 0)?.bytes)).toBe('to the client')
  native.sendMessage(client, Buffer.from('on'), [])
  expect(text(native.receiveMessage(server, 20, 0)?.bytes)).toBe('on')
  expect(refusal(() => native.readTcpState(listener))).toMatchObject({ code: 'EINVAL', syscall: 'ioctl' })
  close(listener, client, server)
})

test('a TCP connection by raw addresses', () => {
  const listener = native.socket(AF_INET, SOCK_STREAM, 0)
  native.bindSocket(listener, loopback(0))
  native.listenSocket(listener, 1)
  const address = native.getsockname(listener)
  expect(address).toHaveLength(16)
  const client = native.socket(AF_INET, SOCK_STREAM, 0)
  expect(native.getpeername(client)).toBeNull()
  native.connectSocket(client, address)
  expect(native.getpeername(client)).toEqual(address)
  expect(refusal(() => native.bindSocket(client, address))).toMatchObject({ code: 'EINVAL', syscall: 'bind' })
  close(listener)
  const late = native.socket(AF_INET, SOCK_STREAM, 0)
  expect(refusal(() => native.connectSocket(late, address))).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect' })
  close(client, late)
})

test('unix sockets with abstract and with no names', () => {
  const name = Buffer.concat([Buffer.of(AF_UNIX, 0, 0), Buffer.from(`thaw-test-${process.pid}`)])
  const bound = native.socket(AF_UNIX, SOCK_SEQPACKET, 0)
  expect(native.getsockname(bound)).toEqual(Uint8Array.of(AF_UNIX, 0))
  native.bindSocket(bound, name)
  expect(Buffer.from(native.getsockname(bound))).toEqual(name)
  close(bound)
})

test('options', () => {
  const [a, b] = native.socketpair(AF_UNIX, SOCK_DGRAM, 0)
  native.setsockopt(a, SOL_SOCKET, SO_SNDBUF, Uint8Array.of(0, 64, 0, 0))
  expect(native.getsockopt(a, SOL_SOCKET, SO_SNDBUF, 4)).toEqual(Uint8Array.of(0, 128, 0, 0)) // the kernel doubles it
  expect(native.getsockopt(a, SOL_SOCKET, SO_TYPE, 100)).toEqual(Uint8Array.of(SOCK_DGRAM, 0, 0, 0))
  expect(native.fcntl(a, 1)).toBe(1)
  expect(refusal(() => native.setsockopt(a, SOL_SOCKET, SO_PROTOCOL, new Uint8Array(4)))).toMatchObject({ code: 'ENOPROTOOPT' })
  expect(refusal(() => native.getsockopt(a, 9999, 1, 4))).toMatchObject({ syscall: 'getsockopt' })
  close(a, b)
})

test('messages carry descriptors', () => {
  const [a, b] = native.socketpair(AF_UNIX, SOCK_STREAM, 0)
  const [reader, writer] = native.pipe(0)
  native.sendMessage(a, Buffer.from('take'), [reader, writer])
  close(reader, writer)
  const message = native.receiveMessage(b, 100, 10)
  expect(text(message?.bytes)).toBe('take')
  const [newReader = -1, newWriter = -1] = message?.descriptors ?? []
  expect(message?.descriptors).toHaveLength(2)
  writeSync(newWriter, 'through')
  expect(text(native.read(newReader, 100) ?? undefined)).toBe('through')
  expect(native.fcntl(newReader, 1)).toBe(1)
  close(newReader, newWriter, a)
  const nothing = { bytes: new Uint8Array(), descriptors: [], sender: new Uint8Array(), credentials: new Uint8Array() }
  expect(native.receiveMessage(b, 100, 0)).toEqual(nothing)
  close(b)
})

test('messages at the limit of descriptors, and beside credentials', () => {
  const [a, b] = native.socketpair(AF_UNIX, SOCK_SEQPACKET, 0)
  native.setsockopt(b, SOL_SOCKET, SO_PASSCRED, Uint8Array.of(1, 0, 0, 0))
  const many = Array.from({ length: 253 }, () => a)
  native.sendMessage(a, Buffer.from('x'), many)
  const message = native.receiveMessage(b, 1, 253)
  expect(message?.descriptors).toHaveLength(253)
  close(...(message?.descriptors ?? []))
  expect(refusal(() => native.sendMessage(a, Buffer.from('x'), [...many, a]))).toMatchObject({ code: 'EINVAL', syscall: 'sendmsg' })
  close(a, b)
})

test('what was cut off is an error, and leaves no descriptors', () => {
  const [a, b] = native.socketpair(AF_UNIX, SOCK_SEQPACKET, 0)
  native.sendMessage(a, Buffer.from('long'), [a])
  expect(refusal(() => native.receiveMessage(b, 1, 5))).toMatchObject({ code: 'EMSGSIZE', syscall: 'recvmsg' })
  native.sendMessage(a, Buffer.from('x'), [a, a, a])
  expect(refusal(() => native.receiveMessage(b, 10, 2))).toMatchObject({ code: 'EMSGSIZE', syscall: 'recvmsg' })
  close(a, b)
})

test('a look anywhere in a queue, and the settings of the socket are as before', () => {
  const [a, b] = native.socketpair(AF_UNIX, SOCK_SEQPACKET, 0)
  native.sendMessage(a, Buffer.from('first'), [])
  native.sendMessage(a, Buffer.from('second'), [a])
  const settings = (): (Uint8Array | undefined)[] => [SO_PASSCRED, SO_PEEK_OFF].map((option) => native.getsockopt(b, SOL_SOCKET, option, 4))
  for (const [offset, passing] of [
    [-1, 0],
    [0, 1],
    [3, 0],
  ] as const) {
    native.setsockopt(b, SOL_SOCKET, SO_PEEK_OFF, new Uint8Array(Int32Array.of(offset).buffer))
    native.setsockopt(b, SOL_SOCKET, SO_PASSCRED, Uint8Array.of(passing, 0, 0, 0))
    const before = settings()
    const message = native.peekMessage(b, 5, 100, 1, true)
    expect(text(message?.bytes)).toBe('second')
    expect(message?.descriptors).toHaveLength(1)
    expect(message?.credentials).toHaveLength(12)
    close(...(message?.descriptors ?? []))
    expect(text(native.peekMessage(b, undefined, 100, 0, false)?.bytes)).toBe('first')
    expect(native.peekMessage(b, 11, 100, 0, false)).toBeNull()
    expect(refusal(() => native.peekMessage(b, 0, 2, 0, false))).toMatchObject({ code: 'EMSGSIZE' })
    expect(settings()).toEqual(before)
  }
  close(a, b)
  expect(refusal(() => native.peekMessage(b, 0, 2, 0, false))).toMatchObject({ code: 'EBADF', syscall: 'recvmsg' })
})

test('the pieces of a stream', () => {
  const [a, b] = native.socketpair(AF_UNIX, SOCK_STREAM, 0)
  for (const piece of ['one', 'two more', 'x']) native.sendMessage(a, Buffer.from(piece), [])
  expect(native.bytesBeforeLastPiece(b, 0, 12)).toBe(11)
  expect(native.bytesBeforeLastPiece(b, 0, 11)).toBe(3)
  expect(native.bytesBeforeLastPiece(b, 0, 3)).toBe(0)
  expect(native.bytesBeforeLastPiece(b, 3, 9)).toBe(8)
  expect(native.bytesBeforeLastPiece(b, 3, 0)).toBe(0)
  close(a, b)
})

test('no message yet', () => {
  const [a, b] = native.socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)
  expect(native.receiveMessage(b, 1, 0)).toBeNull()
  expect(native.receiveMessage(b, 1, 0, MSG_DONTWAIT)).toBeNull()
  native.sendMessage(a, Buffer.from('x'), [])
  expect(text(native.receiveMessage(b, 1, 0, MSG_PEEK)?.bytes)).toBe('x')
  expect(text(native.receiveMessage(b, 1, 0)?.bytes)).toBe('x')
  close(b)
  expect(refusal(() => native.sendMessage(a, Buffer.from('x'), []))).toMatchObject({ code: 'EPIPE', syscall: 'sendmsg' })
  close(a)
})

test('a socket made in another network namespace', () => {
  using target = new Target('/usr/bin/unshare', ['--net', 'cat'])
  const namespace = openSync(`/proc/${target.pid}/ns/net`, 'r')
  const here = native.socket(AF_INET, SOCK_STREAM, 0)
  const there = native.socketInNamespace(namespace, AF_INET, SOCK_STREAM, 0)
  const again = native.socket(AF_INET, SOCK_STREAM, 0)
  expect(cookie(there)).not.toEqual(cookie(here))
  expect(cookie(again)).toEqual(cookie(here))
  expect(refusal(() => native.socketInNamespace(here, AF_INET, SOCK_STREAM, 0))).toMatchObject({ code: 'EINVAL', syscall: 'setns' })
  expect(refusal(() => native.socketInNamespace(namespace, 999, SOCK_STREAM, 0))).toMatchObject({ code: 'EAFNOSUPPORT', syscall: 'socket' })
  close(namespace, here, there, again)
})

test('refused sockets', () => {
  expect(refusal(() => native.socket(AF_UNIX, 99, 0))).toMatchObject({ syscall: 'socket' })
  expect(refusal(() => native.socketpair(AF_INET, SOCK_STREAM, 0))).toMatchObject({ code: 'EOPNOTSUPP', syscall: 'socketpair' })
  expect(refusal(() => native.listenSocket(0x7fff, 1))).toMatchObject({ code: 'EBADF', syscall: 'listen' })
})
