import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { test } from 'vitest-thaw'
import { counter, increment } from './counter.ts'

/** Something happens to the run while this holds a copy, and says so in a file. */
test.withSnapshot(counter)('holds a copy', { timeout: 60_000 }, async ({ counter }) => {
  await increment(counter)
  writeFileSync('holding', String(process.pid))
  await sleep(3000)
})
test.withSnapshot(counter)('comes after it', { timeout: 5000 }, async ({ counter }) => {
  expect(await increment(counter)).toBe(2)
})
