import { expect } from 'vitest'
import { test } from 'vitest-thaw'
import { increment } from './counter.ts'
import { counting } from './made.ts'

const [once, twice] = [counting(1), counting(2)]
test.withSnapshot(once)('once', async ({ made }) => {
  expect(await increment(made)).toBe(2)
})
test.withSnapshot(twice)('twice', async ({ made }) => {
  expect(await increment(made)).toBe(3)
})
