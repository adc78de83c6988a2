import { expect } from 'vitest'
import { get, send, test } from '../shop.ts'

interface Session {
  readonly token: string
}

const logIn = async (shop: Parameters<typeof get>[0], userId: number): Promise<string> =>
  ((await send(shop, 'POST', '/sessions', { userId })).body as Session).token

test.for([1, 2, 3])('user %i can log in', async (userId, { shop }) => {
  const token = await logIn(shop, userId)
  expect(await get(shop, `/sessions/${token}`)).toMatchObject({ userId })
})

test('two sessions are two', async ({ shop }) => {
  expect(await logIn(shop, 1)).not.toBe(await logIn(shop, 1))
})

test('a stranger cannot log in', async ({ shop }) => {
  expect(await send(shop, 'POST', '/sessions', { userId: 99 })).toMatchObject({ status: 404 })
})

test('after logging out a session is over', async ({ shop }) => {
  const token = await logIn(shop, 2)
  expect(await send(shop, 'DELETE', `/sessions/${token}`)).toMatchObject({ status: 204 })
  expect(await send(shop, 'GET', `/sessions/${token}`)).toMatchObject({ status: 401 })
})

test('a removed user is logged out', async ({ shop }) => {
  const token = await logIn(shop, 2)
  await send(shop, 'DELETE', '/users/2')
  expect(await send(shop, 'GET', `/sessions/${token}`)).toMatchObject({ status: 401 })
})

test('others stay logged in', async ({ shop }) => {
  const token = await logIn(shop, 3)
  await send(shop, 'DELETE', '/users/2')
  expect(await get(shop, `/sessions/${token}`)).toMatchObject({ name: 'linus' })
})

test('the audit begins where the seed ended', async ({ shop }) => {
  expect(await get(shop, '/audit')).toMatchObject({ count: 5, last: { action: 'place order' } })
  await logIn(shop, 1)
  expect(await get(shop, '/audit')).toMatchObject({ count: 6, last: { action: 'log in' } })
})

test('the server has answered nobody but the warm-up', async ({ shop }) => {
  const { requests } = await get<{ requests: number }>(shop, '/metrics')
  expect(requests).toBeLessThanOrEqual(3) // The warm-up's, and this one.
  expect(await get(shop, '/metrics')).toMatchObject({ requests: requests + 1 })
})
