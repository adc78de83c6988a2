import { expect, test } from 'vitest'
import { MappingKind, type PageRange } from '../../dist/core/image/model.js'
import { denseRanges } from '../../dist/core/restore/huge.js'
import { mapping, PAGE } from '../checkpoint/own-memory.ts'

const HUGE = 2n << 20n
const BASE = 0x7000_0000_0000n

/** Pages from `first` of the range on that begins at BASE. */
const pages = (first: bigint, pageCount: bigint): PageRange => ({ start: BASE + first * PAGE, pageCount, fileOffset: 0n })
const range = (first: bigint, end: bigint): object => ({ start: BASE + first * HUGE, end: BASE + end * HUGE })
const memory = mapping(BASE, BASE + 4n * HUGE)

test.each([
  ['half full', [pages(0n, 256n)], [range(0n, 1n)]],
  ['a page less', [pages(0n, 255n)], []],
  ['half full by pieces', [pages(0n, 128n), pages(300n, 128n)], [range(0n, 1n)]],
  ['one run of pages, half in each', [pages(256n, 512n)], [range(0n, 2n)]],
  ['one run of pages, too little in each', [pages(300n, 300n)], []],
  ['two apart', [pages(0n, 300n), pages(1024n, 300n)], [range(0n, 1n), range(2n, 3n)]],
  ['all four', [pages(0n, 2048n)], [range(0n, 4n)]],
  ['out of order', [pages(512n, 512n), pages(0n, 512n)], [range(0n, 2n)]],
])('%s', (_, present, expected) => {
  expect(denseRanges([memory], present)).toEqual(expected)
})

test.each([
  ['a file', { kind: MappingKind.filePrivate }],
  ['shared memory', { kind: MappingKind.anonymousShared }],
  ['memory without huge pages', { flags: ['nh'] }],
])('%s is left alone', (_, rest) => {
  expect(denseRanges([{ ...memory, ...rest }], [pages(0n, 2048n)])).toEqual([])
})

test('a range belongs to one mapping, all of it', () => {
  const halves = [mapping(BASE, BASE + HUGE / 2n), mapping(BASE + HUGE / 2n, BASE + 2n * HUGE)]
  expect(denseRanges(halves, [pages(0n, 256n), pages(256n, 768n)])).toEqual([range(1n, 2n)])
})
