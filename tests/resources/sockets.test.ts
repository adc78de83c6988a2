import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { isUnbound, loopbackAddress, portOf, printAddress } from '../../dist/core/resources/socket/address.js'
import { native } from '../../dist/native/index.js'
import { OwnDescriptors, OwnTree } from './own-tree.ts'

const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOL_SOCKET = 1
const SO_KEEPALIVE = 9
const SO_SNDBUF = 7
const SO_TIMESTAMP = 29
const IPPROTO_IP = 0
const IP_ADD_MEMBERSHIP = 35

const intBytes = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer)

test('addresses are printed as ss prints them', () => {
  expect(printAddress(Uint8Array.of(2, 0, 0x18, 0xeb, 10, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0))).toBe('10.0.0.5:6379')
  const v6 = loopbackAddress(AF_INET6)
  expect(printAddress(v6)).toBe('[::1]:0')
  v6.set([0xff, 0xff, 127, 0, 0, 1], 18)
  v6[23] = 9
  expect(printAddress(v6)).toBe('127.0.0.9:0')
})

test('a listening socket is carried with its port, backlog and the options that were set', () => {
  using own = new OwnDescriptors()
  const fd = own.keep(native.socket(AF_INET, SOCK_STREAM, 0))
  native.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, intBytes(1))
  native.bindSocket(fd, loopbackAddress(AF_INET))
  native.listenSocket(fd, 7)
  using tree = new OwnTree()
  expect(tree.kind(fd)).toBe('tcp_listener')
  const payload = tree.collect(fd)
  expect(payload).toMatchObject({ family: AF_INET, backlog: 7, options: [{ level: SOL_SOCKET, option: SO_KEEPALIVE, value: intBytes(1) }] })
  expect(portOf(payload['address'] as Uint8Array)).toBeGreaterThan(0)
})

test('a connection that waits to be accepted is carried without data, and refused with it, at both ends', () => {
  using own = new OwnDescriptors()
  const listening = own.keep(native.socket(AF_INET, SOCK_STREAM, 0))
  native.bindSocket(listening, loopbackAddress(AF_INET))
  native.listenSocket(listening, 7)
  const client = own.keep(native.socket(AF_INET, SOCK_STREAM, 0))
  native.connectSocket(client, native.getsockname(listening))
  {
    using tree = new OwnTree()
    expect(tree.collect(client)).toMatchObject({ listener: tree.seen(listening).id, place: 0, places: 1, ended: false })
    expect(tree.collect(listening)).toMatchObject({ backlog: 7 })
  }
  native.sendMessage(client, Buffer.from('unread'), [])
  using tree = new OwnTree({ tcp: 'close' })
  for (const fd of [listening, client]) expect(() => tree.collect(fd)).toThrow(expect.objectContaining({ code: 'THAW_TCP_BACKLOG' }))
})

/** The kernel is held up while it tells the ages of connections: for so long, this often. */
function heldUp(ms: number, times: number): Disposable {
  const sendMessage = native.sendMessage.bind(native)
  let left = times
  const spy = vi.spyOn(native, 'sendMessage').mockImplementation((...args) => {
    if (left-- > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
    return sendMessage(...args)
  })
  return { [Symbol.dispose]: () => spy.mockRestore() }
}

test('connections that wait to be accepted are carried in their order, unless that cannot be told', async () => {
  using own = new OwnDescriptors()
  const listening = own.keep(native.socket(AF_INET, SOCK_STREAM, 0))
  native.bindSocket(listening, loopbackAddress(AF_INET))
  native.listenSocket(listening, 7)
  const clients = []
  for (let i = 0; i < 4; i++) {
    const client = own.keep(native.socket(AF_INET, SOCK_STREAM, 0))
    native.connectSocket(client, native.getsockname(listening))
    clients.push(client)
    await sleep(60)
  }
  using tree = new OwnTree({ tcp: 'close' })
  for (const times of [0, 1]) {
    for (const [place, client] of clients.entries()) {
      using _ = heldUp(100, times)
      expect(tree.collect(client)).toMatchObject({ place, places: 4 })
    }
  }
  using _ = heldUp(100, Infinity)
  expect(() => tree.collect(listening)).toThrow(expect.objectContaining({ code: 'THAW_TCP_BACKLOG' }))
})

test('sockets that are not connected are carried: fresh, bound, UDP with its peer', () => {
  using own = new OwnDescriptors()
  const fresh = own.keep(native.socket(AF_INET6, SOCK_STREAM, 0))
  native.setsockopt(fresh, SOL_SOCKET, SO_SNDBUF, intBytes(30_000))
  const bound = own.keep(native.socket(AF_INET, SOCK_DGRAM, 0))
  native.bindSocket(bound, loopbackAddress(AF_INET))
  const connected = own.keep(native.socket(AF_INET, SOCK_DGRAM, 0))
  native.connectSocket(connected, native.getsockname(bound))
  using tree = new OwnTree()
  const options = tree.collect(fresh)['options'] as { option: number; value: Uint8Array }[]
  expect(options.find(({ option }) => option === SO_SNDBUF)?.value).toEqual(intBytes(60_000))
  expect(tree.collect(fresh)).toMatchObject({ address: new Uint8Array() })
  expect(tree.collect(bound)).toMatchObject({ address: native.getsockname(bound) })
  expect(tree.collect(connected)).toMatchObject({ peer: native.getsockname(bound) })
  expect(isUnbound(native.getsockname(fresh))).toBe(true)
  native.sendMessage(connected, Buffer.from('unread'), [])
  const queue = [{ data: new Uint8Array(Buffer.from('unread')), sender: native.getsockname(connected) }]
  expect(tree.collect(bound)).toMatchObject({ queue })
  native.setsockopt(bound, SOL_SOCKET, SO_TIMESTAMP, intBytes(1))
  expect(() => tree.collect(bound)).toThrow(expect.objectContaining({ code: 'THAW_UDP_QUEUE' }))
})

test('a UDP socket is carried with the multicast groups that it has joined, and no others', () => {
  using own = new OwnDescriptors()
  const [member, other] = [own.keep(native.socket(AF_INET, SOCK_DGRAM, 0)), own.keep(native.socket(AF_INET, SOCK_DGRAM, 0))]
  const loopback = [127, 0, 0, 1]
  native.setsockopt(member, IPPROTO_IP, IP_ADD_MEMBERSHIP, Uint8Array.of(239, 1, 2, 3, ...loopback))
  using tree = new OwnTree()
  expect(tree.collect(member)['groups']).toMatchObject([{ level: IPPROTO_IP, interface: 1 }])
  expect(tree.collect(other)['groups']).toEqual([])
})
