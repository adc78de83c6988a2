import { existsSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { it } from 'vitest'
import { test } from 'vitest-thaw'
import { counter } from './counter.ts'

test.withSnapshot(counter)('has its copy', () => {})
it('waits for the end of the template', async () => {
  writeFileSync('waiting', 'yes')
  const until = performance.now() + 30_000
  while (performance.now() < until && !existsSync('killed')) await sleep(10)
})
test.withSnapshot(counter)('gets the copy that stood by', () => {})
test.withSnapshot(counter)('hears of it', () => {})
test.withSnapshot(counter)('warms up anew', () => {})
