/** node:cluster: four workers share a port, and the primary hears of it when one of them ends. */

import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { missing, nodes } from './installed.ts'
import { Folder, Running, sharedHost, untilIdle, untilReady } from './running.ts'

const host = sharedHost()
const program = fileURLToPath(new URL('../../fixtures/programs/node-cluster.mjs', import.meta.url))
const [SERVER, PRIMARY] = [8000, 8001]
const WORKERS = 4

interface Answer {
  readonly id: number
  readonly pid: number
  readonly parent: number
  readonly served: number
}

interface Primary {
  readonly pid: number
  readonly listening: number
  readonly workers: readonly { readonly id: number; readonly pid: number }[]
  readonly exits: readonly { readonly id: number; readonly pid: number; readonly code: number }[]
}

for (const [name, node] of Object.entries(nodes)) {
  // The primary hands connections out in turn (rr), or the workers all wait for them at the same socket (none).
  for (const policy of ['rr', 'none'] as const)
    test(`${name}: a cluster goes on, its connections ${policy === 'rr' ? 'handed out by the primary' : 'taken by the workers'}`, async ({
      skip,
    }) => {
      skip(missing(node) !== undefined, missing(node))
      using folder = new Folder()
      await using original = await Running.start(await host(), folder, node, [program], { NODE_CLUSTER_SCHED_POLICY: policy })
      await untilReady(folder)
      const warm = await primaryOf(original)
      expect(warm).toMatchObject({ listening: WORKERS, exits: [] })
      for (let i = 0; i < WORKERS; i++) await ask(original, '/')
      await untilIdle()

      await original.useCopies(async (copy, before) => {
        const found = await primaryOf(copy)
        expect(found.pid).toBe(warm.pid)
        expect(found.workers).toHaveLength(WORKERS)
        if (before === 0) expect(found).toEqual(warm)
        const answers = await Promise.all(Array.from({ length: 2 * WORKERS }, () => ask(copy, '/')))
        for (const { id, pid, parent } of answers) {
          expect(found.workers).toContainEqual({ id, pid })
          expect(parent).toBe(warm.pid)
        }
        if (policy === 'rr') expect(new Set(answers.map(({ pid }) => pid)).size).toBe(WORKERS)

        const { id, pid } = await ask(copy, '/exit')
        await expect.poll(() => primaryOf(copy), POLL).toMatchObject({ listening: WORKERS + before + 1 })
        const after = await primaryOf(copy)
        expect(after.exits).toEqual([...found.exits, { id, pid, code: id }])
        expect(after.workers).toHaveLength(WORKERS)
        expect(after.workers).not.toContainEqual({ id, pid })
        await ask(copy, '/')
      })
    })
}

const POLL = { interval: 10, timeout: 20_000 }

async function ask(running: Running, path: string): Promise<Answer> {
  const { status, body } = await running.get(SERVER, path)
  expect(status).toBe(200)
  return JSON.parse(body) as Answer
}

const primaryOf = async (running: Running): Promise<Primary> => JSON.parse((await running.get(PRIMARY, '/')).body) as Primary
