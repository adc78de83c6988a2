import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { collectClocks, offsetsFor, offsetsOf } from '../../dist/core/resources/clocks.js'

const SECOND = 1_000_000_000n
const [MONOTONIC, BOOTTIME] = [1, 7]

const own = offsetsOf(process.pid)
/** The clocks of the machine, whatever time namespace this is. */
const machine = (): { monotonic: bigint; boottime: bigint } => ({
  monotonic: native.clockGettime(MONOTONIC) - own.monotonic,
  boottime: native.clockGettime(BOOTTIME) - own.boottime,
})

test.each([
  ['ahead', 1_234n * SECOND + 5n],
  ['behind by part of a second', -1n],
  ['behind by whole seconds', -3n * SECOND],
  ['behind by seconds and a part', -3n * SECOND - 999_999_999n],
  ['level', 0n],
])('offsets for clocks that stood %s lead to where they stood', (_, distance) => {
  const before = machine()
  const monotonic = before.monotonic + distance
  const boottime = before.boottime - distance
  const text = offsetsFor({ monotonic, boottime, realtime: 0n, taken: 0n })
  const after = machine()
  const offset = (name: string): bigint => {
    const [, seconds = '', nanoseconds = ''] = new RegExp(`^${name} (-?\\d+) (\\d+)$`, 'm').exec(text) ?? []
    expect(BigInt(nanoseconds)).toBeLessThan(SECOND)
    return BigInt(seconds) * SECOND + BigInt(nanoseconds)
  }
  // The clocks were read between the two looks.
  expect(offset('monotonic')).toBeLessThanOrEqual(monotonic - before.monotonic)
  expect(offset('monotonic')).toBeGreaterThanOrEqual(monotonic - after.monotonic)
  expect(offset('boottime')).toBeLessThanOrEqual(boottime - before.boottime)
  expect(offset('boottime')).toBeGreaterThanOrEqual(boottime - after.boottime)
  expect(text.split('\n')).toHaveLength(3)
})

test('the clocks of a process in our time namespace are ours', () => {
  const before = native.clockGettime(MONOTONIC)
  const clocks = collectClocks(process.pid)
  const after = native.clockGettime(MONOTONIC)
  expect(clocks.monotonic).toBe(clocks.taken)
  expect(clocks.taken).toBeGreaterThanOrEqual(before)
  expect(clocks.taken).toBeLessThanOrEqual(after)
  expect(clocks.boottime).toBeLessThanOrEqual(native.clockGettime(BOOTTIME))
})
