import { defineFixture } from 'vitest-thaw'

const ready = { http: ':3000/' } as const

export const locking = defineFixture('locking', async ({ start }) => {
  await start('python3', ['locking-server.py'], { ready })
})
export const one = defineFixture('one', async ({ start }) => {
  await start('node', ['socket-file-server.js'], { ready, env: { COUNTER: 'one' } })
})
/** Listens at the same path. */
export const other = defineFixture('other', async ({ start }) => {
  await start('node', ['socket-file-server.js'], { ready, env: { COUNTER: 'other' } })
})

export async function increment(copy: { fetch(path: string): Promise<Response> }): Promise<string> {
  return (await copy.fetch(':3000/increment')).text()
}
