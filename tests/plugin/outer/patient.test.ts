import { setTimeout as sleep } from 'node:timers/promises'
import { defineFixture, test } from 'vitest-thaw'

const patient = defineFixture('patient', async ({ start }) => {
  await start('node', ['counter-server.js'], { ready: { port: 3000 } })
  await sleep(3000)
})

// One of them warms up, the other waits for it: both for longer than their time.
test.withSnapshot(patient).concurrent('warms up', { timeout: 2500 }, () => {})
test.withSnapshot(patient).concurrent('waits', { timeout: 2500 }, () => {})
