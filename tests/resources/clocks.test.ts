import { describe, expect, test, vi } from 'vitest'
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

function offsetIn(text: string, name: string): bigint {
  const [, seconds = '', nanoseconds = ''] = new RegExp(`^${name} (-?\\d+) (\\d+)$`, 'm').exec(text) ?? []
  expect(BigInt(nanoseconds)).toBeLessThan(SECOND)
  return BigInt(seconds) * SECOND + BigInt(nanoseconds)
}

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
  const offset = (name: string): bigint => offsetIn(text, name)
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

/** Runs what is given while this process is interrupted after the looks at a clock whose turn it is. */
function whileInterrupted<T>(isTurn: (look: number) => boolean, run: () => T): T {
  const clockGettime = native.clockGettime.bind(native)
  let look = 0
  const spy = vi.spyOn(native, 'clockGettime').mockImplementation((clock) => {
    const time = clockGettime(clock)
    if (isTurn(look++)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    return time
  })
  try {
    return run()
  } finally {
    spy.mockRestore()
  }
}

/** How far boot time is ahead of the monotonic clock; of several looks the closest. */
function ahead(): bigint {
  const looks = Array.from({ length: 20 }, () => {
    const [before, boottime, after] = [MONOTONIC, BOOTTIME, MONOTONIC].map((clock) => native.clockGettime(clock))
    return { passed: after! - before!, ahead: boottime! - before! }
  })
  return looks.reduce((best, look) => (look.passed < best.passed ? look : best)).ahead
}

/** By how much boot time is brought ahead of the monotonic clock: whatever waits for it would be that early. */
const earliness: [string, (run: <T>(read: () => T) => T) => bigint][] = [
  [
    'as they are read',
    (run) => {
      const { boottime, monotonic } = run(() => collectClocks(process.pid))
      return boottime - monotonic - ahead()
    },
  ],
  [
    'as a copy gets them',
    (run) => {
      const wanted = { monotonic: 5n * SECOND, boottime: 7n * SECOND, realtime: 0n, taken: 0n }
      const text = run(() => offsetsFor(wanted))
      const shown = (name: 'monotonic' | 'boottime'): bigint => offsetIn(text, name) - own[name] - wanted[name]
      return ahead() + shown('boottime') - shown('monotonic')
    },
  ],
]

describe.each(earliness)('clocks, %s', (_, early) => {
  test.each([0, 1, 2, 3])('stay together when somebody else has run after look %i', (turn) => {
    const ns = early((read) => whileInterrupted((look) => look === turn, read))
    expect(ns).toBeLessThan(100_000n)
    expect(ns).toBeGreaterThan(-1_000_000n)
  })

  test('make nothing early when somebody else runs after each look', () => {
    expect(early((read) => whileInterrupted(() => true, read))).toBeLessThan(100_000n)
  })
})
