import { expect } from 'vitest'
import { get, send, test } from '../shop.ts'

const EMPTY = { items: [], totalCents: 0 }

test.for([1, 2, 3])('the cart of user %i can be filled', async (user, { shop }) => {
  expect(await get(shop, `/users/${user}/cart`)).toMatchObject(EMPTY)
  await send(shop, 'POST', `/users/${user}/cart`, { productId: user, quantity: 2 })
  expect(await get(shop, `/users/${user}/cart`)).toMatchObject({ items: [{ productId: user, quantity: 2 }] })
})

test('the same product is added up', async ({ shop }) => {
  for (const quantity of [1, 2]) await send(shop, 'POST', '/users/2/cart', { productId: 8, quantity })
  expect(await get(shop, '/users/2/cart')).toMatchObject({ items: [{ productId: 8, quantity: 3 }] })
})

test('it knows its total', async ({ shop }) => {
  await send(shop, 'PATCH', '/products/8', { priceCents: 250 })
  await send(shop, 'POST', '/users/2/cart', { productId: 8, quantity: 4 })
  expect(await get(shop, '/users/2/cart')).toMatchObject({ totalCents: 1000 })
})

test('a change of price changes the total', async ({ shop }) => {
  await send(shop, 'POST', '/users/2/cart', { productId: 8 })
  await send(shop, 'PATCH', '/products/8', { priceCents: 1 })
  expect(await get(shop, '/users/2/cart')).toMatchObject({ totalCents: 1 })
})

test('it can be cleared', async ({ shop }) => {
  await send(shop, 'POST', '/users/2/cart', { productId: 8 })
  expect(await send(shop, 'DELETE', '/users/2/cart')).toMatchObject({ status: 204 })
  expect(await get(shop, '/users/2/cart')).toMatchObject(EMPTY)
})

test('nothing of something is refused', async ({ shop }) => {
  expect(await send(shop, 'POST', '/users/2/cart', { productId: 8, quantity: 0 })).toMatchObject({ status: 400 })
  expect(await get(shop, '/users/2/cart')).toMatchObject(EMPTY)
})

test('an order empties it', async ({ shop }) => {
  await send(shop, 'POST', '/users/2/cart', { productId: 8 })
  await send(shop, 'POST', '/users/2/orders')
  expect(await get(shop, '/users/2/cart')).toMatchObject(EMPTY)
})

test('carts do not mix', async ({ shop }) => {
  await send(shop, 'POST', '/users/2/cart', { productId: 8 })
  expect(await get(shop, '/users/3/cart')).toMatchObject(EMPTY)
})
