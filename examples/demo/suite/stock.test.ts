import { expect } from 'vitest'
import { get, send, test } from '../shop.ts'

const stockOf = async (shop: Parameters<typeof get>[0], id: number): Promise<number> =>
  (await get<{ stock: number }>(shop, `/products/${id}/stock`)).stock

test.for([2, 3, 100, 199_999])('product %i can be sold out', async (id, { shop }) => {
  expect(await stockOf(shop, id)).toBeGreaterThan(0)
  await send(shop, 'PUT', `/products/${id}/stock`, { quantity: 0 })
  expect(await stockOf(shop, id)).toBe(0)
})

test('a delivery is put in stock', async ({ shop }) => {
  const before = await stockOf(shop, 2)
  await send(shop, 'PUT', '/products/2/stock', { quantity: before + 1000 })
  expect(await stockOf(shop, 2)).toBe(before + 1000)
})

test('half a piece is refused', async ({ shop }) => {
  const before = await stockOf(shop, 2)
  expect(await send(shop, 'PUT', '/products/2/stock', { quantity: 0.5 })).toMatchObject({ status: 400 })
  expect(await stockOf(shop, 2)).toBe(before)
})

test('an order takes from the stock', async ({ shop }) => {
  await send(shop, 'PUT', '/products/2/stock', { quantity: 10 })
  await send(shop, 'POST', '/users/2/cart', { productId: 2, quantity: 3 })
  await send(shop, 'POST', '/users/2/orders')
  expect(await stockOf(shop, 2)).toBe(7)
})

test('a cancelled order gives it back', async ({ shop }) => {
  const before = await stockOf(shop, 1)
  await send(shop, 'POST', '/orders/1/cancel')
  expect(await stockOf(shop, 1)).toBe(before + 1)
})

test('more than there is cannot be ordered', async ({ shop }) => {
  await send(shop, 'PUT', '/products/2/stock', { quantity: 1 })
  await send(shop, 'POST', '/users/2/cart', { productId: 2, quantity: 2 })
  expect(await send(shop, 'POST', '/users/2/orders')).toMatchObject({ status: 409, body: { error: 'only 1 of product 2 left' } })
  expect(await stockOf(shop, 2)).toBe(1)
})

test('an order is all or nothing', async ({ shop }) => {
  const before = await stockOf(shop, 3)
  await send(shop, 'PUT', '/products/2/stock', { quantity: 0 })
  for (const productId of [3, 2]) await send(shop, 'POST', '/users/2/cart', { productId })
  expect(await send(shop, 'POST', '/users/2/orders')).toMatchObject({ status: 409 })
  expect(await stockOf(shop, 3)).toBe(before)
})
