import { defineFixture, test } from 'vitest-thaw'

const throws = defineFixture('throws', () => {
  throw new RangeError('no seed data')
})
const missing = defineFixture('missing', async ({ start }) => {
  await start('no-such-command')
})
const ends = defineFixture('ends', async ({ start }) => {
  await start('node', ['-e', 'console.log("no licence"); process.exit(4)'], { ready: { port: 3000 } })
})
const slow = defineFixture('slow', async ({ start }) => {
  await start('node', ['counter-server.js'], { ready: { port: 3001 }, readyTimeoutMs: 1200 })
})
const late = defineFixture('late', () => new Promise<void>(() => {}), { warmUpTimeoutMs: 200 })
const empty = defineFixture('empty', () => {})
const uncloneable = defineFixture('uncloneable', async ({ start }) => {
  await start('node', ['counter-server.js'], { ready: { port: 3000 } })
  return { stop: () => {} }
})
const fetching = defineFixture('fetching', () => ({ fetch: 'mine' }))

for (const fixture of [throws, missing, ends, slow, late, empty, uncloneable, fetching]) {
  test.withSnapshot(fixture)(fixture.name, () => {})
}
test.withSnapshot(throws)('throws, too', () => {})
