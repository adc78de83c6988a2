import { aroundEach, describe, expect } from 'vitest'
import { defineFixture, test } from 'vitest-thaw'

const broken = defineFixture('broken', () => {
  throw new RangeError('no seed data')
})
const ran: string[] = []

const made = test.withSnapshot(broken).extend('connection', { auto: true }, async ({ broken }) => broken.connect(5432))
made('of a fixture that is made of the copy', { retry: 2 }, () => {
  ran.push('test')
})

const patient = test.withSnapshot(broken).extend('awaited', { auto: true }, async ({ broken }) => await broken)
patient('of a fixture that only passes the copy on', { retry: 2 }, () => {
  ran.push('test')
})

describe('in a hook', () => {
  aroundEach<{ broken: { fetch(path: string): Promise<Response> } }>(async (run, { broken }) => {
    await broken.fetch(':3000/')
    await run()
  })
  test.withSnapshot(broken)('that wraps the test', { retry: 2 }, () => {
    ran.push('test')
  })
})

test('none has run', () => {
  expect(ran).toEqual([])
})
