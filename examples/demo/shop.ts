/** The fixture of the suite, and its `test`: with a restored copy of the shop, or, for comparison, with one that is started for each test. */
import { defineFixture, test as thawTest } from 'vitest-thaw'
import { coldTest } from './cold.ts'

export interface Shop {
  fetch(path: string, init?: RequestInit): Promise<Response>
}

const shop = defineFixture('shop', async ({ start }) => {
  const server = await start('node', ['server.js'], { cwd: '../../fixtures/shop-server', ready: { http: ':3000/health' } })
  await server.fetch('/admin/seed', { method: 'POST' })
})

const restoredTest = thawTest.withSnapshot(shop)
// The suite only sends requests, which both can.
export const test: typeof restoredTest = (process.env['DEMO_START'] === 'cold' ? coldTest : restoredTest) as typeof restoredTest

export interface Answer {
  readonly status: number
  /** What JSON holds: the tests say what they expect of it. */
  readonly body: unknown
}

/** One request of the shop's API. */
export async function send(shop: Shop, method: string, path: string, body?: object): Promise<Answer> {
  const init = body === undefined ? { method } : { method, body: JSON.stringify(body) }
  const response = await shop.fetch(`:3000${path}`, init)
  const text = await response.text()
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
}

export async function get<Body = unknown>(shop: Shop, path: string): Promise<Body> {
  return (await send(shop, 'GET', path)).body as Body
}
