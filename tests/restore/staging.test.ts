import { expect, test } from 'vitest'
import type { Mapping, MemoryModel, PageRange } from '../../dist/core/image/model.js'
import { Staging } from '../../dist/core/restore/staging.js'
import { readMappings } from '../../dist/core/proc/maps.js'
import { mapping, PAGE } from '../checkpoint/own-memory.ts'
import { fullProcess } from '../image/full-process.ts'
import { INPUT, numbers, report, Run } from '../program/interpreter.ts'

const PLACE = 0x3000_0000_0000n
const HUGE = 2n << 20n

const small = (index: bigint, pages = 64n, rest: Partial<Mapping> = {}): Mapping =>
  mapping(PLACE + index * HUGE, PLACE + index * HUGE + pages * PAGE, rest)
const filled = ({ start }: Mapping, pageCount: bigint, first = 0n): PageRange => ({
  start: start + first * PAGE,
  pageCount,
  fileOffset: 0n,
})
const memory = (mappings: Mapping[], pages: PageRange[]): MemoryModel => ({ ...fullProcess.memory, mappings, pages })
const taken = { start: 0x2000_0000_0000n, end: 0x2000_0400_0000n }

const isStaged = (only: Mapping, pages: bigint): boolean => Staging.plan(memory([only], [filled(only, pages)]), [taken]).length === 1

test.each<[string, Mapping, bigint, boolean]>([
  ['full', small(0n), 64n, true],
  ['half full', small(0n), 32n, true],
  ['less than half full', small(0n), 31n, false],
  ['full, but tiny', small(0n, 15n), 15n, false],
  ['large enough for huge pages of its own', small(0n, 1024n), 1024n, false],
  ['just below that', small(0n, 1023n), 1023n, true],
  ['code that can be written', small(0n, 64n, { protection: 7 }), 64n, true],
  ['read-only', small(0n, 64n, { protection: 1 }), 64n, false],
  ['of a file', small(0n, 64n, { kind: 1 }), 64n, false],
  ['a stack', small(0n, 64n, { flags: ['gd'] }), 64n, false],
  ['without huge pages', small(0n, 64n, { flags: ['nh'] }), 64n, false],
])('memory that is %s', (_, only, pages, staged) => {
  expect(isStaged(only, pages)).toBe(staged)
})

test('the heap that brk moves stays in place', () => {
  const heap = small(0n)
  const layout = { ...fullProcess.memory.layout, startBrk: heap.start, brk: heap.start + PAGE }
  expect(Staging.plan({ ...memory([heap], [filled(heap, 64n)]), layout }, [taken])).toEqual([])
})

test('pages are loaded side by side, apart from all that is there; others where they belong', () => {
  const mappings = [small(0n), small(1n, 64n, { flags: ['nr'] }), small(2n), small(3n, 64n, { protection: 1 })]
  const pages = mappings.map((one) => filled(one, 64n))
  const stagings = Staging.plan(memory(mappings, pages), [taken])
  expect(stagings.map((staging) => mappings.map((one) => staging.has(one)))).toEqual([
    [true, false, true, false],
    [false, true, false, false],
  ])
  const [first, other, third, last] = pages.map((range) => stagings.reduce((range, staging) => staging.staged(range), range))
  expect(third).toEqual({ ...pages[2], start: first!.start + 64n * PAGE })
  expect(last).toEqual(pages[3])
  for (const { start } of [first!, other!, third!]) {
    const near = [...mappings, taken].filter((one) => one.start < start + 64n * PAGE && start < one.end)
    expect(near).toEqual([])
  }
  expect(other!.start < first!.start || other!.start >= first!.start + 2n * HUGE).toBe(true)
})

test('moved to their places, mappings have their contents, protection and holes, and nothing is left of the area', () => {
  const mappings = [small(0n), small(1n, 64n, { protection: 7 })]
  const [one, two] = mappings as [Mapping, Mapping]
  const pages = [filled(one, 40n, 2n), filled(one, 4n, 50n), filled(two, 64n)]
  const all = memory(mappings, pages)
  const [staging] = Staging.plan(all, [taken, { start: 0x1000_0000_0000n, end: 0x1001_0000_0000n }]) as [Staging]
  const area = staging.staged(filled(one, 1n)).start
  using run = new Run((main, bundle) => {
    staging.emitArea(main)
    for (const range of pages) main.store(staging.staged(range).start, range.start, 8)
    staging.emitMoves(main, all)
    report(main, ...pages.map(({ start }) => main.load(start, 8)))
    main.call('read', [INPUT, bundle.allocate(1), 1])
  })
  expect(numbers(run.read())).toEqual(pages.map(({ start }) => start))
  run.sleepsIn('read')
  const seen = readMappings(run.pid)
  const at = (start: bigint): object | undefined => seen.find((line) => line.start === start)
  expect(at(one.start)).toMatchObject({ end: one.end, permissions: 'rw-p' })
  expect(at(two.start)).toMatchObject({ end: two.end, permissions: 'rwxp' })
  expect(seen.filter(({ start, end }) => start < area + HUGE && area < end)).toEqual([])
})
