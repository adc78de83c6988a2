import { expect } from 'vitest'
import { defineFixture, test } from 'vitest-thaw'

const alike = defineFixture('alike', async ({ start }) => {
  const server = await start('node', ['counter-server.js'], { ready: { port: 3000 } })
  await server.fetch('/increment')
})
test.withSnapshot(alike)('alike', async ({ alike }) => {
  expect(await (await alike.fetch(':3000/increment')).json()).toMatchObject({ count: 2 })
})
