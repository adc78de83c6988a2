import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe } from 'vitest'
import { defineFixture, test } from 'vitest-thaw'

const patient = defineFixture('patient', async ({ start }) => {
  await start('node', ['counter-server.js'], { ready: { port: 3000 } })
  await sleep(1500)
})

// Before the first snapshot test is made: Vitest makes the copy for this hook, unless another one comes first.
beforeEach(() => {})

describe('in a block', () => {
  test.withSnapshot(patient)('warms up for longer than a hook may take', () => {})
})
