import { readSync, writeSync } from 'node:fs'
import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { OwnDescriptors, OwnTree } from './own-tree.ts'

const O_NONBLOCK = 0o4000
const O_DIRECT = 0o40000
const F_SETFL = 4

const chunksOf = (payload: Record<string, unknown>) =>
  (payload['chunks'] as { data: Uint8Array; packet: boolean }[]).map(({ data, packet }) => [Buffer.from(data).toString(), packet])

test('data of a pipe is read and stays where it is', () => {
  using own = new OwnDescriptors()
  const [reader, writer] = own.keep(native.pipe(0))
  writeSync(writer, 'one, ')
  writeSync(writer, 'two')
  using tree = new OwnTree()
  expect(chunksOf(tree.collect(reader))).toEqual([['one, two', false]])
  expect(chunksOf(tree.collect(writer))).toEqual([])
  const left = Buffer.alloc(20)
  expect(readSync(reader, left)).toBe(8)
})

test('data is left alone while the tree runs', () => {
  using own = new OwnDescriptors()
  const [reader, writer] = own.keep(native.pipe(0))
  writeSync(writer, 'something')
  using tree = new OwnTree({ frozen: false })
  expect(chunksOf(tree.collect(reader))).toEqual([])
})

test('packets keep their boundaries, of one byte and of two too', () => {
  using own = new OwnDescriptors()
  const [reader, writer] = own.keep(native.pipe(O_NONBLOCK | O_DIRECT))
  const packets = ['a', 'bc', 'x'.repeat(4096), 'd', 'e']
  for (const packet of packets) writeSync(writer, packet)
  using tree = new OwnTree()
  expect(chunksOf(tree.collect(reader))).toEqual(packets.map((packet) => [packet, true]))
})

test('packets behind a stream are told from it; those that fit its page have become part of it', () => {
  using own = new OwnDescriptors()
  const [reader, writer] = own.keep(native.pipe(O_NONBLOCK))
  writeSync(writer, 'stream')
  native.fcntl(writer, F_SETFL, O_DIRECT)
  for (const packet of ['a', 'bc', 'x'.repeat(4096), 'z']) writeSync(writer, packet)
  using tree = new OwnTree()
  expect(chunksOf(tree.collect(reader))).toEqual([
    ['streamabc', false],
    ['x'.repeat(4096), true],
    ['z', true],
  ])
})

test('an end whose other end is closed is not outside', () => {
  using own = new OwnDescriptors()
  const [reader, writer] = own.keep(native.pipe(0))
  writeSync(writer, 'last')
  own.close(writer)
  const [unread, lonely] = own.keep(native.pipe(0))
  own.close(unread)
  using tree = new OwnTree()
  expect(chunksOf(tree.collect(reader))).toEqual([['last', false]])
  expect(tree.kind(lonely)).toBe('pipe')
})

test('an end whose other end is in another process is refused', () => {
  using own = new OwnDescriptors()
  const [input, output] = own.keep(native.pipe(0))
  const nothing = own.keep(native.open('/dev/null', 2))
  const { pid, pidfd } = native.spawnProcess('/bin/cat', [], [input, nothing, nothing])
  own.keep(pidfd)
  own.close(input)
  using tree = new OwnTree()
  expect(() => tree.collect(output)).toThrow(expect.objectContaining({ code: 'THAW_PIPE_OUTSIDE', pid: process.pid }))
  native.kill(pid, 9)
  while (native.reap(pid) === null) native.poll(pidfd, 1, 100)
})
