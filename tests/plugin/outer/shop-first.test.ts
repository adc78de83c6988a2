import { describe, expect } from 'vitest'
import { test as base } from 'vitest-thaw'
import { counter, increment } from './counter.ts'

const test = base.withSnapshot(counter)

test('starts from the snapshot', async ({ counter }) => {
  expect(await increment(counter)).toBe(2)
  expect(await increment(counter)).toBe(3)
})
test('starts from the snapshot again', async ({ counter }) => {
  expect(await increment(counter)).toBe(2)
})
test('has what the warm-up returned', ({ counter }) => {
  expect(counter.admin).toBe('ada')
  expect(counter.roles.get('ada')).toEqual(['owner'])
  expect(counter.printed).toContain('listening')
})
test('answers like any server', async ({ counter }) => {
  const response = await counter.fetch(new URL('http://localhost:3000/health'), { method: 'POST', body: new URLSearchParams({ a: 'b' }) })
  expect(response).toBeInstanceOf(Response)
  expect(response.headers.get('content-type')).toBe('application/json')
})
test('can be connected to', async ({ counter }) => {
  const socket = await counter.connect(3000)
  socket.end('GET /increment HTTP/1.0\r\n\r\n')
  let answer = ''
  for await (const chunk of socket) answer += chunk
  expect(answer).toMatch(/^HTTP\/1.1 200 OK[^]*"count":2/)
})
test('shows at once what was printed', async ({ counter }) => {
  await counter.fetch(':3000/complain')
  expect(counter.stdout).toBe('request /complain\n')
  expect(counter.stderr).toBe('something is wrong\n')
})
test('reaches nothing outside', async ({ counter }) => {
  await expect(counter.fetch(':3001/')).rejects.toThrow('fetch failed')
  await expect(counter.connect(3001)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  const error: Error = await counter.fetch('http://example.com/').catch((error) => error)
  expect(String(error.cause)).toContain('http://example.com is not in the sandbox')
})

test.each([1, 2])('each %i', async (n) => {
  expect(n).toBeGreaterThan(0)
})
test.for([1, 2])('for %i', async (_, { counter }) => {
  expect(await increment(counter)).toBe(2)
})
test.skip('skipped', () => {
  throw new Error('not to be run')
})
test.concurrent('concurrent 1', async ({ counter }) => {
  expect(await increment(counter)).toBe(2)
})
test.concurrent('concurrent 2', async ({ counter }) => {
  expect(await increment(counter)).toBe(2)
})

let tries = 0
test('retries from the snapshot', { retry: 2 }, async ({ counter }) => {
  expect(await increment(counter)).toBe(2)
  expect(++tries).toBe(3)
})
test('repeats from the snapshot', { repeats: 2 }, async ({ counter }) => {
  expect(await increment(counter)).toBe(2)
})
test.extend('twice', async ({ counter }) => increment(counter).then(() => increment(counter)))('extended', ({ twice }) => {
  expect(twice).toBe(3)
})
describe('in a group', () => {
  test.beforeEach(async ({ counter }) => {
    await increment(counter)
  })
  test('a hook sees the same copy', async ({ counter }) => {
    expect(await increment(counter)).toBe(3)
  })
})
