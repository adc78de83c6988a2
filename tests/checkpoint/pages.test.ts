import { closeSync, openSync, writeSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { batches, scanPages } from '../../dist/core/checkpoint/pages.js'
import { MappingKind, type PageRange } from '../../dist/core/image/model.js'
import { mapping, OwnMemory, PAGE } from './own-memory.ts'

let pagemap: number
beforeAll(() => {
  pagemap = openSync('/proc/self/pagemap', 'r')
})
afterAll(() => closeSync(pagemap))

const range = (start: bigint, pageCount: bigint, fileOffset = 0n): PageRange => ({ start, pageCount, fileOffset })

test('anonymous memory: what was written to is kept, untouched pages and the zero page are not', () => {
  using memory = new OwnMemory(8n)
  for (const page of [1n, 2n, 5n]) memory.write(page)
  memory.read(3n)
  expect(scanPages(pagemap, [mapping(memory.start, memory.end)])).toEqual({
    pages: [range(memory.page(1n), 2n), range(memory.page(5n), 1n, 2n * PAGE)],
    guards: [],
    end: 3n * PAGE,
  })
})

test('guard regions are kept apart from the pages', () => {
  using memory = new OwnMemory(4n)
  for (const page of [0n, 1n, 2n]) memory.write(page)
  memory.guard(1n)
  expect(scanPages(pagemap, [mapping(memory.start, memory.end)])).toEqual({
    pages: [range(memory.page(0n), 1n), range(memory.page(2n), 1n, PAGE)],
    guards: [range(memory.page(1n), 1n)],
    end: 2n * PAGE,
  })
})

test('a private mapping of a file: only what was changed', () => {
  const file = native.memfdCreate('file', 0)
  writeSync(file, Buffer.alloc(4 * Number(PAGE), 'x'))
  using memory = new OwnMemory(4n, file)
  closeSync(file)
  memory.read(0n)
  memory.write(1n)
  memory.read(2n)
  const scanned = scanPages(pagemap, [mapping(memory.start, memory.end, { kind: MappingKind.filePrivate })])
  expect(scanned.pages).toEqual([range(memory.page(1n), 1n)])
})

test.each([
  ['that is shared', { kind: MappingKind.anonymousShared }],
  ['of a shared file', { kind: MappingKind.fileShared }],
  ['of the vDSO', { kind: MappingKind.vdso }],
  ['of an io_uring', { kind: MappingKind.ioUring }],
  ['that a fork sees as zeros', { flags: ['wf'] }],
  ['that the kernel may drop', { flags: ['dp'] }],
])('memory %s is never kept', (_, rest) => {
  using memory = new OwnMemory(2n)
  memory.write(0n)
  expect(scanPages(pagemap, [mapping(memory.start, memory.end, rest)])).toEqual({ pages: [], guards: [], end: 0n })
})

test('a range ends where its mapping ends, though the next one goes on', () => {
  using memory = new OwnMemory(6n)
  for (const page of [0n, 1n, 2n, 3n, 4n, 5n]) memory.write(page)
  const cuts = [0n, 2n, 3n, 6n].map((page) => memory.page(page))
  const mappings = [0, 1, 2].map((i) => mapping(cuts[i]!, cuts[i + 1]!))
  expect(scanPages(pagemap, mappings).pages).toEqual([range(cuts[0]!, 2n), range(cuts[1]!, 1n, 2n * PAGE), range(cuts[2]!, 3n, 3n * PAGE)])
  // Nothing comes from what lies between two mappings.
  expect(scanPages(pagemap, [mappings[0]!, mappings[2]!]).pages).toEqual([range(cuts[0]!, 2n), range(cuts[2]!, 3n, 2n * PAGE)])
})

test('guards of two mappings that touch stay apart, too', () => {
  using memory = new OwnMemory(2n)
  memory.guard(0n)
  memory.guard(1n)
  const middle = memory.page(1n)
  expect(scanPages(pagemap, [mapping(memory.start, middle), mapping(middle, memory.end)]).guards).toEqual([
    range(memory.start, 1n),
    range(middle, 1n),
  ])
})

test('no mappings, no pages', () => {
  expect(scanPages(pagemap, [])).toEqual({ pages: [], guards: [], end: 0n })
})

test('batches: at most 1024 pieces, a gigabyte, and one stretch of the file', () => {
  const gigabyte = 1n << 30n
  const many = Array.from({ length: 1025 }, (_, i) => range(BigInt(i) * 2n * PAGE, 1n, BigInt(i) * PAGE))
  expect([...batches(many)].map((batch) => batch.length)).toEqual([1024, 1])

  const large = [range(0n, 1n), range(gigabyte, (2n * gigabyte) / PAGE + 1n, PAGE)]
  expect([...batches(large)].map((batch) => batch.map(({ start, lengthBytes }) => [start, lengthBytes]))).toEqual([
    [[0n, PAGE]],
    [[gigabyte, gigabyte]],
    [[2n * gigabyte, gigabyte]],
    [[3n * gigabyte, PAGE]],
  ])

  const apart = [range(0n, 1n, 0n), range(PAGE, 1n, 2n * PAGE), range(2n * PAGE, 1n, 3n * PAGE)]
  expect([...batches(apart)].map((batch) => batch.map(({ fileOffset }) => fileOffset))).toEqual([[0n], [2n * PAGE, 3n * PAGE]])
  expect([...batches([])]).toEqual([])
})
