import { expect } from 'vitest'
import { defineFixture, test } from 'vitest-thaw'

const broken = defineFixture('broken', () => {
  throw new RangeError('no seed data')
})
const attempts: string[] = []
test.withSnapshot(broken)('never runs without its copy', { retry: 2 }, () => {
  attempts.push('ran')
})
test('has not run', () => {
  expect(attempts).toEqual([])
})
