import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { test } from 'vitest-thaw'
import { increment, locking, one } from './exclusive.ts'

for (const i of [1, 2]) {
  test.withSnapshot(locking).concurrent(`locks ${i}`, async ({ locking }) => {
    expect(await increment(locking)).toBe('1 flock posix')
    await sleep(1000)
    expect(await increment(locking)).toBe('2 flock posix')
  })
  test.withSnapshot(one).concurrent(`listens ${i}`, async ({ one }) => {
    expect(await increment(one)).toBe('one 1')
    await sleep(1000)
    expect(await increment(one)).toBe('one 2')
  })
}
