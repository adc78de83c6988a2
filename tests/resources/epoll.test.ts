import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { OwnDescriptors, OwnTree } from './own-tree.ts'

const EPOLL_CTL_ADD = 1
const EPOLL_CTL_DEL = 2
const EPOLLIN = 1
const EPOLLOUT = 4
const EPOLLONESHOT = 0x4000_0000

function add(set: number, fd: number, events: number, data: number): void {
  const event = new Uint8Array(12)
  const view = new DataView(event.buffer)
  view.setUint32(0, events, true)
  view.setUint32(4, data, true)
  native.syscall('epoll_ctl', [set, EPOLL_CTL_ADD, fd, event])
}

const fire = (set: number): bigint => native.syscall('epoll_wait', [set, new Uint8Array(12), 1, 0])

test('a registration by a number that is closed, or taken by another file, is found by its file', () => {
  using own = new OwnDescriptors()
  const set = own.keep(Number(native.syscall('epoll_create1', [0])))
  const file = own.keep(native.eventfd(1, 0))
  const number = own.keep(native.fcntl(file, 0, 200))
  add(set, number, EPOLLIN, 7)
  own.close(number)
  const other = own.keep(native.fcntl(own.keep(native.eventfd(0, 0)), 0, 200))
  expect(other).toBe(number)
  add(set, other, EPOLLIN, 8)
  using tree = new OwnTree()
  const items = tree.collect(set)['items'] as { fd: number; description: number; data: bigint }[]
  const ids = new Map(items.map(({ data, description }) => [Number(data & 0xffffn), description]))
  expect(items.map(({ fd }) => fd)).toEqual([number, number])
  expect(ids).toEqual(
    new Map([
      [7, tree.seen(file).id],
      [8, tree.seen(other).id],
    ]),
  )
})

test('a registration whose file is open nowhere in the tree is refused', () => {
  using own = new OwnDescriptors()
  const set = own.keep(Number(native.syscall('epoll_create1', [0])))
  const [kept, receiver] = own.keep(native.pipe(0))
  const { pid, pidfd } = native.spawnProcess('/bin/sleep', ['60'], [kept, receiver, receiver])
  own.keep(pidfd)
  add(set, kept, EPOLLIN, 1)
  own.close(kept)
  using tree = new OwnTree()
  expect(() => tree.collect(set)).toThrow(expect.objectContaining({ code: 'THAW_EPOLL_OUTSIDE' }))
  native.kill(pid, 9)
  while (native.reap(pid) === null) native.poll(pidfd, 1, 100)
})

test('a one-shot registration that has fired can be carried while something is ready, or can be made ready', () => {
  using own = new OwnDescriptors()
  const set = own.keep(Number(native.syscall('epoll_create1', [0])))
  const event = own.keep(native.eventfd(1, 0))
  const [reader, writer] = own.keep(native.pipe(0))
  add(set, event, EPOLLIN | EPOLLONESHOT, 1)
  expect(fire(set)).toBe(1n)
  {
    using tree = new OwnTree()
    expect(tree.collect(set)).toMatchObject({ items: [{ disarmed: true, unready: false }] })
  }
  native.syscall('epoll_ctl', [set, EPOLL_CTL_DEL, event, 0])
  add(set, reader, EPOLLIN | EPOLLONESHOT, 2)
  native.syscall('write', [writer, Buffer.from('x'), 1])
  expect(fire(set)).toBe(1n)
  native.read(reader, 1)
  {
    using tree = new OwnTree()
    expect(tree.collect(set)).toMatchObject({ items: [{ disarmed: true, unready: true }] })
  }
  native.syscall('epoll_ctl', [set, EPOLL_CTL_DEL, reader, 0])
  add(set, writer, EPOLLOUT | EPOLLONESHOT, 3)
  expect(fire(set)).toBe(1n)
  native.syscall('write', [writer, new Uint8Array(65536), 65536])
  using tree = new OwnTree()
  expect(() => tree.collect(set)).toThrow(expect.objectContaining({ code: 'THAW_EPOLL_DISARMED' }))
})
