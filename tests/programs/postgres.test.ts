/** Postgres with connections open and transactions begun, restored several times from one image; its files are put back in between. */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import type { Image } from '../../dist/core/index.js'
import { asOrdinary, missingServer, PostgresFiles, servers } from './database.ts'
import { nodes } from './installed.ts'
import { COPIES, Folder, Running, sharedHost, untilReady } from './running.ts'

const host = sharedHost()
const program = fileURLToPath(new URL('../../fixtures/programs/postgres-clients.mjs', import.meta.url))
const PAGE_BYTES = 4096
const node = nodes['Node 24'] ?? ''

for (const [name, bin] of Object.entries(servers)) {
  test(`${name}: transactions, sessions and new connections go on, again and again`, async ({ skip }) => {
    skip(missingServer(bin) !== undefined, missingServer(bin))
    using folder = new Folder()
    await using original = await start(folder, bin)
    const files = new PostgresFiles(folder)
    await using restorable = await original.become()
    expect(await sizeOf(restorable.image, folder), 'the pages of the image, against distinct ones').toBeLessThan(1.2)
    files.keep()
    for (let i = 0; i < COPIES; i++) {
      files.putBack()
      await using copy = await restorable.restore()
      expect(await ask(copy, 'SELECT name FROM users WHERE id = 7'), `restore ${i}`).toEqual([{ name: 'user 7' }])
      expect(await copy.check(), `restore ${i}`).toEqual(['ok'])
    }
  })
}

async function start(folder: Folder, bin: string): Promise<Running> {
  const [command, ...args] = asOrdinary(folder, [node, program, folder.file('trigger'), folder.file('report'), bin, folder.file('data')])
  const running = await Running.start(await host(), folder, command, args)
  await untilReady(folder)
  return running
}

/** As somebody outside the tree. */
async function ask(postgres: Running, query: string): Promise<unknown[]> {
  const socket = await postgres.connect(5432)
  const client = new Client({
    user: 'postgres',
    database: 'postgres',
    // It is connected already.
    stream: () => Object.assign(socket, { connect: () => void setImmediate(() => socket.emit('connect')) }),
  })
  await client.connect()
  try {
    return (await client.query(query)).rows
  } finally {
    await client.end()
  }
}

/** How much larger the page file is than what is in it: pages that differ, and are not zero. */
async function sizeOf(image: Image, folder: Folder): Promise<number> {
  await image.write(folder.file('image'))
  const pages = readFileSync(folder.file('image/pages.bin'))
  const distinct = new Set<string>()
  for (let at = 0; at < pages.length; at += PAGE_BYTES)
    distinct.add(
      createHash('sha256')
        .update(pages.subarray(at, at + PAGE_BYTES))
        .digest('base64'),
    )
  return pages.length / PAGE_BYTES / distinct.size
}
