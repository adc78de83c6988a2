import { expect } from 'vitest'
import { get, send, test } from '../shop.ts'

test('there is one', async ({ shop }) => {
  expect(await get(shop, '/orders')).toMatchObject([{ id: 1, userId: 1, state: 'placed' }])
})

test.for([2, 3])('the first order of user %i is number 2', async (user, { shop }) => {
  await send(shop, 'POST', `/users/${user}/cart`, { productId: 10 })
  expect(await send(shop, 'POST', `/users/${user}/orders`)).toMatchObject({ status: 201, body: { id: 2, userId: user } })
})

test('it can be cancelled', async ({ shop }) => {
  expect(await send(shop, 'POST', '/orders/1/cancel')).toMatchObject({ status: 200, body: { state: 'cancelled' } })
  expect(await get(shop, '/orders/1')).toMatchObject({ state: 'cancelled' })
})

test('it can be cancelled only once', async ({ shop }) => {
  await send(shop, 'POST', '/orders/1/cancel')
  expect(await send(shop, 'POST', '/orders/1/cancel')).toMatchObject({ status: 409 })
})

test('an empty cart makes none', async ({ shop }) => {
  expect(await send(shop, 'POST', '/users/2/orders')).toMatchObject({ status: 409 })
  expect(await get(shop, '/orders')).toHaveLength(1)
})

test('it keeps the price of its day', async ({ shop }) => {
  await send(shop, 'PATCH', '/products/10', { priceCents: 500 })
  await send(shop, 'POST', '/users/2/cart', { productId: 10 })
  await send(shop, 'POST', '/users/2/orders')
  await send(shop, 'PATCH', '/products/10', { priceCents: 900 })
  expect(await get(shop, '/orders/2')).toMatchObject({ totalCents: 500 })
})

test('it stays when its user goes', async ({ shop }) => {
  await send(shop, 'DELETE', '/users/1')
  expect(await get(shop, '/orders/1')).toMatchObject({ userId: 1, state: 'placed' })
})

test('it may have several products', async ({ shop }) => {
  for (const productId of [10, 11, 12]) await send(shop, 'POST', '/users/2/cart', { productId })
  expect(await send(shop, 'POST', '/users/2/orders')).toMatchObject({
    body: { items: [{ productId: 10 }, { productId: 11 }, { productId: 12 }] },
  })
})

test('many can be placed', async ({ shop }) => {
  for (let id = 2; id <= 11; id++) {
    await send(shop, 'POST', '/users/3/cart', { productId: id })
    expect(await send(shop, 'POST', '/users/3/orders')).toMatchObject({ body: { id } })
  }
  expect(await get(shop, '/orders')).toHaveLength(11)
})
