import { existsSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { aroundEach, it } from 'vitest'
import { defineFixture, test } from 'vitest-thaw'

const slow = defineFixture('slow', async ({ start }) => {
  await start('node', ['counter-server.js'], { ready: { port: 3000 } })
  await sleep(1000)
  writeFileSync('warmed', 'yes')
})

// Makes the copy, in its own time, into which the warm-up does not fit.
aroundEach(async (runTest) => runTest(), 500)

test.withSnapshot(slow)('is given up before it has its copy', () => {})

it('goes on beside it', { timeout: 60_000 }, async () => {
  while (!existsSync('looked')) await sleep(10)
})
