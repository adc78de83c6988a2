import { defineFixture } from 'vitest-thaw'

/** Two servers: the front one asks the back one over a connection that it keeps open, and has a child process of its own. */
export const pair = defineFixture('pair', async ({ start }) => {
  await start('node', ['back-server.js'], { ready: { port: 4000 } })
  const front = await start('node', ['front-server.js'], { ready: { http: ':3000/state' } })
  await front.fetch('/increment')
})
