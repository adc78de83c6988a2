/** An API with a pool of connections to its Postgres and one to its Redis: one fixture, used after each restore as if it had just started. */

import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { asOrdinary, missingServer, PostgresFiles, servers } from './database.ts'
import { missing, nodes } from './installed.ts'
import { COPIES, Folder, Running, sharedHost, untilReady } from './running.ts'

const host = sharedHost()
const program = fileURLToPath(new URL('../../fixtures/programs/api-with-databases.mjs', import.meta.url))

for (const [name, bin] of Object.entries(servers)) {
  test(`an API with ${name} and Redis answers after each restore`, async ({ skip }) => {
    const cannot = missingServer(bin) ?? missing('redis-server')
    skip(cannot !== undefined, cannot)
    using folder = new Folder()
    await using original = await start(folder, bin)
    const files = new PostgresFiles(folder)
    await using restorable = await original.become()
    files.keep()
    for (let i = 0; i < COPIES; i++) {
      files.putBack()
      await using copy = await restorable.restore()
      await use(copy)
    }
  })
}

async function start(folder: Folder, bin: string): Promise<Running> {
  const [command, ...args] = asOrdinary(folder, [nodes['Node 24'] ?? '', program, bin, folder.path])
  const running = await Running.start(await host(), folder, command, args)
  await untilReady(folder)
  return running
}

/** Everything is as it was when the fixture was warm, and changes from there. */
async function use(api: Running): Promise<void> {
  const get = async (path: string): Promise<unknown> => JSON.parse((await api.get(3000, path)).body)
  expect(await get('/users/1')).toEqual({ id: 1, name: 'user 1', orders: 0, cached: true })
  expect(await get('/users/2')).toEqual({ id: 2, name: 'user 2', orders: 0, cached: false })
  expect(await get('/users/2')).toEqual({ id: 2, name: 'user 2', orders: 0, cached: true })
  const orders = (await Promise.all(Array.from({ length: 8 }, () => get('/order/2')))) as { orders: number }[]
  expect(orders.map((order) => order.orders).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  expect(await get('/users/2')).toEqual({ id: 2, name: 'user 2', orders: 8, cached: false })
  expect(await get('/state')).toEqual({ errors: [], ended: [], hits: 1, connections: 4, orders: 8 })
}
