import { expect } from 'vitest'
import { defineFixture, test } from 'vitest-thaw'

const shop = defineFixture('shop', async ({ start }) => {
  // Runs once, then never again.
  const api = await start('node', ['server.js'], { ready: { http: ':3000/health' } })
  await api.fetch('/admin/seed', { method: 'POST' })
  return { admin: 'ada' } // kept with the snapshot
})

test.withSnapshot(shop)('deletes a user', async ({ shop }) => {
  const response = await shop.fetch(':3000/users/1', { method: 'DELETE' })
  expect(response.status).toBe(204)
  expect((await shop.fetch(':3000/users/1')).status).toBe(404)
})

test.withSnapshot(shop)('still has the user', async ({ shop }) => {
  const response = await shop.fetch(':3000/users/1')
  expect(await response.json()).toEqual({ id: 1, name: shop.admin })
})
