import { expect } from 'vitest'
import { get, send, test } from '../shop.ts'

const NAMES = ['ada', 'grace', 'linus']

test('there are three users', async ({ shop }) => {
  expect(await get(shop, '/users')).toMatchObject(NAMES.map((name, i) => ({ id: i + 1, name })))
})

test('a new user gets the next number', async ({ shop }) => {
  expect(await send(shop, 'POST', '/users', { name: 'margaret' })).toMatchObject({ status: 201, body: { id: 4, name: 'margaret' } })
})

test('another new user gets the same number', async ({ shop }) => {
  expect(await send(shop, 'POST', '/users', { name: 'barbara' })).toMatchObject({ status: 201, body: { id: 4, name: 'barbara' } })
})

test.for(NAMES)('%s can be removed', async (name, { shop }) => {
  const path = `/users/${NAMES.indexOf(name) + 1}`
  expect(await send(shop, 'DELETE', path)).toMatchObject({ status: 204 })
  expect(await send(shop, 'GET', path)).toMatchObject({ status: 404 })
  expect(await get(shop, '/users')).toHaveLength(2)
})

test('all can be removed', async ({ shop }) => {
  for (const id of [1, 2, 3]) await send(shop, 'DELETE', `/users/${id}`)
  expect(await get(shop, '/users')).toEqual([])
})

test('a name is taken only once', async ({ shop }) => {
  expect(await send(shop, 'POST', '/users', { name: 'ada' })).toMatchObject({ status: 409 })
})

test('a removed name is free again', async ({ shop }) => {
  await send(shop, 'DELETE', '/users/1')
  expect(await send(shop, 'POST', '/users', { name: 'ada' })).toMatchObject({ status: 201, body: { id: 4 } })
})

test('an address can be changed', async ({ shop }) => {
  expect(await get(shop, '/users/2')).toMatchObject({ email: 'grace@example.com' })
  await send(shop, 'PATCH', '/users/2', { email: 'hopper@example.com' })
  expect(await get(shop, '/users/2')).toMatchObject({ name: 'grace', email: 'hopper@example.com' })
})
