import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { defineFixture } from 'vitest-thaw'

/** Says in a file that it is being warmed up, and by whom. */
export const long = defineFixture('long', async ({ start }) => {
  await start('node', ['counter-server.js'], { ready: { port: 3000 } })
  appendFileSync('warming', `${process.pid}\n`)
  await sleep(2000)
})
