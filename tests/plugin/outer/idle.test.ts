import { expect, it } from 'vitest'
import { test } from 'vitest-thaw'
import { counter } from './counter.ts'

it('needs nothing', () => {
  expect(1).toBe(1)
})
test.withSnapshot(counter)('would need it', () => {})
