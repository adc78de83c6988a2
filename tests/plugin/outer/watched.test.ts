import { expect } from 'vitest'
import { defineFixture, test } from 'vitest-thaw'

const watched = defineFixture('watched', async ({ start }) => {
  // Not imported: a warm-up that uses names of its file is warmed up anew when that file is edited.
  process.getBuiltinModule('node:fs').appendFileSync('warm-ups', 'one warm-up\n')
  await start('node', ['counter-server.js'], { ready: { port: 3000 } })
})
test.withSnapshot(watched)('watched', async ({ watched }) => {
  expect((await watched.fetch(':3000/')).status).toBe(200)
})
