import { expect } from 'vitest'
import { defineFixture, test } from 'vitest-thaw'

const shop = defineFixture('shop', async ({ start }) => {
  const script = 'require("http").createServer((_, answer) => answer.end(process.env.SHOP)).listen(3000)'
  await start('node', ['-e', script], { ready: { port: 3000 } })
})
test.withSnapshot(shop)('has the environment of its project', async ({ shop }) => {
  expect(await (await shop.fetch(':3000/')).text()).toBe(process.env.SHOP)
})
