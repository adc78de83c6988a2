import { expect } from 'vitest'
import { test } from 'vitest-thaw'
import { increment, one, other } from './exclusive.ts'

const times = Array.from({ length: 20 }, (_, i) => i)

for (const i of times) {
  test.withSnapshot(one)(`listens at its path: ${i}`, async ({ one }) => {
    expect(await increment(one)).toBe('one 1')
    expect(await increment(one)).toBe('one 2')
  })
  if (i % 4 === 0)
    test.withSnapshot(other)(`and another fixture there: ${i}`, async ({ other }) => {
      expect(await increment(other)).toBe('other 1')
    })
}
