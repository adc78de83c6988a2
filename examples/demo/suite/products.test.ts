import { expect } from 'vitest'
import { get, send, test } from '../shop.ts'

interface Product {
  readonly id: number
  readonly name: string
  readonly priceCents: number
}

interface Page {
  readonly total: number
  readonly items: readonly Product[]
}

test('there are two hundred thousand', async ({ shop }) => {
  const categories = await get<{ products: number }[]>(shop, '/categories')
  expect(categories.reduce((sum, { products }) => sum + products, 0)).toBe(200_000)
})

test.for([1, 77_777, 200_000])('the price of product %i can be changed', async (id, { shop }) => {
  const { priceCents } = await get<Product>(shop, `/products/${id}`)
  await send(shop, 'PATCH', `/products/${id}`, { priceCents: priceCents + 1 })
  expect(await get(shop, `/products/${id}`)).toMatchObject({ priceCents: priceCents + 1 })
})

test('a name can be changed', async ({ shop }) => {
  expect((await get<Product>(shop, '/products/5')).name).not.toBe('teapot')
  await send(shop, 'PATCH', '/products/5', { name: 'teapot' })
  expect(await get(shop, '/products/5')).toMatchObject({ name: 'teapot' })
})

test('a negative price is refused and changes nothing', async ({ shop }) => {
  const before = await get(shop, '/products/1')
  expect(await send(shop, 'PATCH', '/products/1', { priceCents: -1 })).toMatchObject({ status: 400 })
  expect(await get(shop, '/products/1')).toEqual(before)
})

test('a withdrawn product is gone', async ({ shop }) => {
  expect(await send(shop, 'DELETE', '/products/1')).toMatchObject({ status: 204 })
  expect(await send(shop, 'GET', '/products/1')).toMatchObject({ status: 404 })
})

test('a withdrawn product is no longer in its category', async ({ shop }) => {
  const { total, items } = await get<Page>(shop, '/products?category=garden')
  await send(shop, 'DELETE', `/products/${items[0]?.id}`)
  expect(await get(shop, '/products?category=garden')).toMatchObject({ total: total - 1 })
})

test('a withdrawn product is no longer found', async ({ shop }) => {
  const { total, items } = await get<Page>(shop, '/search?q=oak%20chair')
  await send(shop, 'DELETE', `/products/${items[0]?.id}`)
  expect(await get(shop, '/search?q=oak%20chair')).toMatchObject({ total: total - 1 })
})

test('what is withdrawn cannot be bought', async ({ shop }) => {
  await send(shop, 'DELETE', '/products/9')
  expect(await send(shop, 'POST', '/users/2/cart', { productId: 9 })).toMatchObject({ status: 404 })
})
