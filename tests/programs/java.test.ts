/** Java with an HTTP server: threads, compiled code and garbage collectors go on. */

import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { missing } from './installed.ts'
import { Folder, Running, sharedHost, untilIdle, untilReady } from './running.ts'

const host = sharedHost()
const program = fileURLToPath(new URL('../../fixtures/programs/Server.java', import.meta.url))
const PORT = 8000
const WARM = 300

const collectors = { G1: '-XX:+UseG1GC', serial: '-XX:+UseSerialGC', parallel: '-XX:+UseParallelGC', Z: '-XX:+UseZGC' }

interface Answer {
  readonly pid: number
  readonly requests: number
  readonly sameText: number
  readonly ticks: number
  readonly sum: number
}

async function ask(running: Running, text: string): Promise<Answer> {
  const { status, body } = await running.get(PORT, `/${text}`)
  expect(status).toBe(200)
  const [pid = 0, requests = 0, sameText = 0, ticks = 0, sum = 0] = body.split(' ').map(Number)
  return { pid, requests, sameText, ticks, sum }
}

for (const [name, option] of Object.entries(collectors))
  test(`Java with the ${name} collector serves on`, async ({ skip }) => {
    skip(missing('java') !== undefined, missing('java'))
    skip(missing('javac') !== undefined, missing('javac'))
    using folder = new Folder()
    execFileSync('javac', ['-d', folder.path, program])
    const args = [option, '-Xmx256m', '-cp', folder.path, 'Server']
    await using original = await Running.start(await host(), folder, 'java', args)
    await untilReady(folder)
    for (let i = 0; i < WARM; i++) await ask(original, 'warm')
    const warm = await ask(original, 'gc')
    await untilIdle()

    await original.useCopies(async (copy, before) => {
      const used = before * (MORE + 1)
      const first = await ask(copy, 'warm')
      expect(first).toMatchObject({ pid: warm.pid, requests: WARM + used + 2, sameText: WARM + before * MORE + 1, sum: warm.sum })
      const rest = await Promise.all(Array.from({ length: MORE - 1 }, () => ask(copy, 'warm')))
      for (const { sum } of rest) expect(sum).toBe(warm.sum)
      const last = await ask(copy, 'gc')
      expect(last).toMatchObject({ requests: WARM + used + MORE + 2, sum: warm.sum })
      expect(last.ticks).toBeGreaterThan(warm.ticks)
    })
  })

/** Requests of a copy's own. */
const MORE = 20
