import { defineFixture, test } from 'vitest-thaw'

const taken = defineFixture('taken', async ({ start }) => {
  await start('node', ['counter-server.js'], { env: { ONLY_IN: 'one' }, ready: { port: 3000 } })
})
test.withSnapshot(taken)('one', () => {})
