import 'vitest-thaw/globals'
import { expect, test, vi } from 'vitest'
import { defineFixture } from 'vitest-thaw'
import { counter, increment } from './counter.ts'

const other = defineFixture('other', async ({ start }) => {
  await start('node', ['counter-server.js'], { env: { PORT: '4000' }, ready: { output: /^listening$/m } })
})

test.withSnapshot(counter)("Vitest's own test has it", async ({ counter }) => {
  expect(await increment(counter)).toBe(2)
})
test.withSnapshot(counter).withSnapshot(other)('two at once', async ({ counter, other }) => {
  expect(await increment(counter)).toBe(2)
  expect(await (await other.fetch(':4000/increment')).json()).toMatchObject({ count: 1 })
})
test.withSnapshot(counter)('with a fake clock', async ({ counter }) => {
  vi.useFakeTimers()
  try {
    expect(await increment(counter)).toBe(2)
  } finally {
    vi.useRealTimers()
  }
})
test('without', () => {})
