/** node:http2: a session between two processes of the tree stays open, with a stream in the middle of it. */

import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { missing, nodes } from './installed.ts'
import { Folder, Running, sharedHost, untilIdle, untilReady } from './running.ts'

const host = sharedHost()
const program = fileURLToPath(new URL('../../fixtures/programs/node-http2.mjs', import.meta.url))

for (const [name, node] of Object.entries(nodes))
  test(`${name}: an HTTP/2 session goes on`, async ({ skip }) => {
    skip(missing(node) !== undefined, missing(node))
    using folder = new Folder()
    await using original = await Running.start(await host(), folder, node, [program])
    await untilReady(folder)
    const ask = async (running: Running, path: string): Promise<unknown> => JSON.parse((await running.get(8000, path)).body)
    expect(await ask(original, '/warm')).toEqual({ status: 200, stream: 2, body: 'GET /warm of 1', got: 'begun;/warm;', sessions: 1 })
    await untilIdle()

    await original.useCopies(async (copy, before) => {
      const got = before === 0 ? 'begun;/warm;/copy-0;' : 'begun;/warm;/copy-0;/copy-1;'
      const path = `/copy-${before}`
      expect(await ask(copy, path)).toEqual({ status: 200, stream: 3 + before, body: `GET ${path} of 1`, got, sessions: 1 })
    })
  })
