import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { OwnDescriptors, OwnTree } from './own-tree.ts'

const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const MSG_DONTWAIT = 0x40
const SOL_SOCKET = 1
const SO_PEEK_OFF = 42

interface Queued {
  data: Uint8Array
  descriptions: number[]
}
const queueOf = (payload: Record<string, unknown>) => payload['queue'] as Queued[]
const textsOf = (payload: Record<string, unknown>) => queueOf(payload).map(({ data }) => Buffer.from(data).toString())
const send = (fd: number, text: string, descriptors: readonly number[] = []): void => native.sendMessage(fd, Buffer.from(text), descriptors)

test('a stream is read and stays where it is', () => {
  using own = new OwnDescriptors()
  const [a, b] = own.keep(native.socketpair(AF_UNIX, SOCK_STREAM, 0))
  send(a, 'one, ')
  send(a, 'two')
  using tree = new OwnTree()
  expect(tree.collect(b)).toMatchObject({ state: 'connected', shutdown: 0 })
  expect(textsOf(tree.collect(b))).toEqual(['one, ', 'two'])
  expect(textsOf(tree.collect(a))).toEqual([])
  expect(Buffer.from(native.receiveMessage(b, 100, 0, MSG_DONTWAIT)?.bytes ?? []).toString()).toBe('one, two')
})

test('descriptors in flight come with the piece that they were sent with', () => {
  using own = new OwnDescriptors()
  const [a, b] = own.keep(native.socketpair(AF_UNIX, SOCK_STREAM, 0))
  const file = own.keep(native.open('/dev/null', 0))
  send(a, 'x'.repeat(5000))
  send(a, 'with a file', [file])
  send(a, 'with two', [file, b])
  send(a, 'after')
  using tree = new OwnTree()
  const queue = queueOf(tree.collect(b))
  expect(queue.map(({ data }) => data.length)).toEqual([5000, 11, 8, 5])
  const [fileId, socketId] = [tree.seen(file).id, tree.seen(b).id]
  expect(queue.map(({ descriptions }) => descriptions)).toEqual([[], [fileId], [fileId, socketId], []])
})

test('what is open nowhere but in flight becomes part of the tree', () => {
  using own = new OwnDescriptors()
  const [a, b] = own.keep(native.socketpair(AF_UNIX, SOCK_STREAM, 0))
  const event = own.keep(native.eventfd(5, 0))
  send(a, '!', [event])
  own.close(event)
  using tree = new OwnTree()
  const before = tree.tree.descriptions.length
  const [message] = queueOf(tree.collect(b))
  expect(tree.tree.descriptions).toHaveLength(before + 1)
  expect(tree.tree.descriptions.at(-1)).toMatchObject({ id: message?.descriptions[0], link: 'anon_inode:[eventfd]' })
})

test('datagrams keep their boundaries, empty ones too', () => {
  using own = new OwnDescriptors()
  const [a, b] = own.keep(native.socketpair(AF_UNIX, SOCK_DGRAM, 0))
  for (const text of ['one', '', 'three', '', '']) send(a, text)
  using tree = new OwnTree()
  expect(textsOf(tree.collect(b))).toEqual(['one', '', 'three', '', ''])
  expect(native.getsockopt(b, SOL_SOCKET, SO_PEEK_OFF, 4)).toEqual(new Uint8Array([255, 255, 255, 255]))
})

test('a closed peer is told from one that shut down', () => {
  using own = new OwnDescriptors()
  const [closed, left] = own.keep(native.socketpair(AF_UNIX, SOCK_STREAM, 0))
  send(closed, 'last')
  own.close(closed)
  using tree = new OwnTree()
  expect(tree.collect(left)).toMatchObject({ state: 'orphaned', peer: 0, reset: false })
  expect(textsOf(tree.collect(left))).toEqual(['last'])
})

test('a peer that closed with something unread leaves an error behind', () => {
  using own = new OwnDescriptors()
  const [closed, left] = own.keep(native.socketpair(AF_UNIX, SOCK_STREAM, 0))
  send(left, 'never read')
  own.close(closed)
  using tree = new OwnTree()
  expect(tree.collect(left)).toMatchObject({ state: 'orphaned', reset: true })
})
