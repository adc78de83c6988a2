import { defineFixture } from 'vitest-thaw'

export const counting = (increments: number) =>
  defineFixture('made', async ({ start }) => {
    const server = await start('node', ['counter-server.js'], { ready: { port: 3000 } })
    for (let at = 0; at < increments; at++) await server.fetch('/increment')
  })
