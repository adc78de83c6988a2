import { defineFixture, test } from 'vitest-thaw'

const silent = defineFixture('silent', async ({ start }) => {
  await start('sh', ['-c', 'echo > started; exec sleep 100'], { ready: { output: 'ready' } })
})
test.withSnapshot(silent)('waits for what is never printed', { timeout: 90_000 }, () => {})
