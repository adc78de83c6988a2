import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach } from 'vitest'
import { defineFixture, test } from 'vitest-thaw'

const patientToo = defineFixture('patientToo', async ({ start }) => {
  await start('node', ['counter-server.js'], { ready: { port: 3000 } })
  await sleep(1500)
})

beforeEach(() => {})

test.withSnapshot(patientToo)('warms up in the second file of a worker', () => {})
