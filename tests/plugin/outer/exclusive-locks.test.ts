import { expect } from 'vitest'
import { test } from 'vitest-thaw'
import { increment, locking } from './exclusive.ts'

const times = Array.from({ length: 20 }, (_, i) => i)

test.withSnapshot(locking).for(times)('has its locks: %i', async (_, { locking }) => {
  expect(await increment(locking)).toBe('1 flock posix')
  expect(await increment(locking)).toBe('2 flock posix')
})
