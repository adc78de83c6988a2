import { appendFileSync } from 'node:fs'
import { defineFixture } from 'vitest-thaw'
import { SEED } from './seed.ts'

/** Its warm-up is the same text whatever the seed is. */
export const seeded = defineFixture('seeded', async ({ start }) => {
  appendFileSync('warm-ups', `${SEED}\n`)
  await start('node', ['counter-server.js'], { ready: { port: 3000 } })
})
