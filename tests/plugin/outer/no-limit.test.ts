import { describe } from 'vitest'
import { defineFixture, test } from 'vitest-thaw'

describe.each([0, Number.POSITIVE_INFINITY])('%s', (none) => {
  const ofProject = defineFixture(`ofProject${none}`, async ({ start }) => {
    await start('node', ['counter-server.js'], { ready: { port: 3000 }, readyTimeoutMs: none })
  })
  test.withSnapshot(ofProject)('of the project, and of a command', () => {})

  const own = defineFixture(
    `own${none}`,
    async ({ start }) => {
      await start('node', ['counter-server.js'], { ready: { port: 3000 } })
    },
    { warmUpTimeoutMs: none },
  )
  test.withSnapshot(own)('of a fixture', () => {})
})

const negative = defineFixture('negative', async ({ start }) => {
  await start('node', ['counter-server.js'], { ready: { port: 3000 }, readyTimeoutMs: -1 })
})
test.withSnapshot(negative)('negative', () => {})
