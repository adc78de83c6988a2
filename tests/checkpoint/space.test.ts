import { closeSync, openSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { findHole, findScratch, type AddressRange } from '../../dist/core/checkpoint/space.js'
import { readMappings, type MappingLine } from '../../dist/core/proc/maps.js'
import { Target } from '../native/harness.ts'

const LOWEST = 0x2000_0000_0000n
const HIGHEST = 0x7fff_ffff_f000n
const MIB = 1n << 20n
const PAGE = 4096n

const range = (start: bigint, sizeBytes: bigint): AddressRange => ({ start, end: start + sizeBytes })

/** Free, a page's start, and 2 MiB away from everything. */
function expectHole(taken: readonly AddressRange[], sizeBytes: bigint): bigint {
  const start = findHole(taken, sizeBytes)
  expect(start).toBeGreaterThanOrEqual(LOWEST)
  expect(start + sizeBytes).toBeLessThanOrEqual(HIGHEST)
  expect(start % PAGE).toBe(0n)
  const near = taken.filter((other) => other.start < start + sizeBytes + 2n * MIB && start - 2n * MIB < other.end)
  expect(near).toEqual([])
  return start
}

test('an empty address space has its hole at the bottom', () => {
  expect(findHole([], 64n * MIB)).toBe(LOWEST)
})

test.each([
  ['one that begins right there', [range(LOWEST, MIB)]],
  ['one that ends right there', [range(LOWEST - MIB, MIB)]],
  ['one that reaches over it', [range(LOWEST - MIB, 3n * MIB)]],
  ['one that is too near above', [range(LOWEST + 65n * MIB, MIB)]],
  ['gaps that are too small', [range(LOWEST, MIB), range(LOWEST + 60n * MIB, MIB), range(LOWEST + 127n * MIB, MIB)]],
  ['out of order, one in the other', [range(LOWEST + 30n * MIB, 9n * MIB), range(LOWEST, 100n * MIB), range(LOWEST + 10n * MIB, MIB)]],
  ['an odd end', [range(LOWEST, PAGE)]],
])('neighbours: %s', (_, taken) => {
  expectHole(taken, 64n * MIB)
})

test('the first hole that is large enough is taken', () => {
  const taken = [range(LOWEST, 2n * MIB), range(LOWEST + 72n * MIB, MIB)]
  expect(findHole(taken, 64n * MIB)).toBe(LOWEST + 4n * MIB)
  expect(findHole(taken, 67n * MIB)).toBe(LOWEST + 76n * MIB)
})

test('a hole between the mappings of real processes', () => {
  using target = new Target()
  expectHole([...readMappings(process.pid), ...readMappings(target.pid)], 64n * MIB)
})

test('a full address space has none', () => {
  expect(() => findHole([{ start: LOWEST, end: HIGHEST - MIB }], 64n * MIB)).toThrow(
    expect.objectContaining({ name: 'CheckpointError', code: 'THAW_NO_HOLE' }),
  )
})

let target: Target
let mem: number
let pagemap: number
let lines: MappingLine[]
let stackPointer: bigint
beforeEach(() => {
  target = new Target()
  target.freeze()
  mem = openSync(`/proc/${target.pid}/mem`, 'r+')
  pagemap = openSync(`/proc/${target.pid}/pagemap`, 'r')
  lines = readMappings(target.pid)
  stackPointer = native.getRegisters(target.pid)[19] ?? 0n
})
afterEach(() => {
  native.detach(target.pid)
  target[Symbol.dispose]()
  closeSync(mem)
  closeSync(pagemap)
})

const scratch = (bytes: number, among = lines, pointer = stackPointer): bigint | undefined => findScratch(pagemap, among, [pointer], bytes)
const stack = (): MappingLine => lines.find(({ path }) => path === '[stack]')!
const isTouched = (start: bigint, sizeBytes: bigint): boolean =>
  native.scanPagemap(pagemap, start, start + sizeBytes, { inverted: 0n, required: 0n, anyOf: 0x18n, returned: 0x18n }).length > 0

test('scratch is the far end of the stack, whatever calls have left there', () => {
  expect(scratch(30_000)).toBe(stack().start)
  for (const page of [0n, 1n, 2n]) native.writeAt(mem, stack().start + page * PAGE, Uint8Array.of(1))
  expect(scratch(30_000)).toBe(stack().start)
})

test('elsewhere, it is where nothing was ever written', () => {
  const place = scratch(8192, lines, stack().end)!
  const home = lines.find(({ start, end }) => start <= place && place + 8192n <= end)
  expect(home).toMatchObject({ permissions: 'rw-p' })
  expect(isTouched(place, 8192n)).toBe(false)
  // A look at it brings in the page of zeros.
  expect(native.readAt(mem, place, 8192).every((byte) => byte === 0)).toBe(true)
  expect(isTouched(place, 8192n)).toBe(true)
  expect(scratch(8192, lines, stack().end)).toBe(place)
  native.writeAt(mem, place + PAGE, Uint8Array.of(0))
  expect(scratch(8192, lines, stack().end)).not.toBe(place)
})

test('the stack is left alone where its pointer is near its end, or elsewhere', () => {
  for (const page of [0n, 1n]) native.writeAt(mem, stack().start + page * PAGE, Uint8Array.of(0))
  expect(scratch(8192, [stack()], stack().start + 8192n + 16384n)).not.toBe(stack().start)
  expect(scratch(8192, [stack()], stack().start + 8192n + 16385n)).toBe(stack().start)
  expect(scratch(8192, [stack()], stack().end)).not.toBe(stack().start)
})

test('memory that cannot be written, is of a file, or too small is no scratch', () => {
  const unfit = lines.filter(({ permissions, path }) => permissions !== 'rw-p' || !['', '[stack]', '[heap]'].includes(path))
  expect(unfit.length).toBeGreaterThan(5)
  expect(scratch(8192, unfit)).toBeUndefined()
  expect(scratch(1 << 30)).toBeUndefined()
})

test('a look leaves the target as it was', () => {
  const before = readFileSync(`/proc/${target.pid}/maps`, 'utf8')
  const sp = stackPointer
  scratch(8192)
  expect(readFileSync(`/proc/${target.pid}/maps`, 'utf8')).toBe(before)
  expect(native.getRegisters(target.pid)[19]).toBe(sp)
})
