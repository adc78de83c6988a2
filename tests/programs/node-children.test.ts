/** node:child_process: forked children with their channels, and others by pipes and streams. */

import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { missing, nodes } from './installed.ts'
import { Folder, Running, sharedHost, untilIdle, untilReady } from './running.ts'

const host = sharedHost()
const program = fileURLToPath(new URL('../../fixtures/programs/node-children.mjs', import.meta.url))
const PORT = 8000

for (const [name, node] of Object.entries(nodes))
  test(`${name}: children answer, by channels, pipes and streams`, async ({ skip }) => {
    skip(missing(node) !== undefined, missing(node))
    using folder = new Folder()
    await using original = await Running.start(await host(), folder, node, [program])
    await untilReady(folder)
    const warm = await ask(original, 'ask/warm')
    const advanced = await ask(original, 'advanced/warm')
    expect(await ask(original, 'pipes/warm')).toBe('<warm>')
    await untilIdle()

    let printed = 0
    await original.useCopies(async (copy, before) => {
      const text = `text ${++printed}`.replace(' ', '-')
      const done = { isTicking: true, written: text, computed: { text: text.toUpperCase() } }
      const count = before === 0 ? 2 : 1
      const answer = await ask(copy, `ask/${text}`)
      expect(answer).toMatchObject({ ...done, count })
      if (before === 0) expect(answer['pid']).toBe(warm['pid'])
      const map = [[text, before + 2]]
      expect(await ask(copy, `advanced/${text}`)).toMatchObject({ ...done, count: before + 2, pid: advanced['pid'], map })
      expect(await ask(copy, `pipes/${text}`)).toBe(`<${text}>`)
      await ask(copy, `inherit/${text}`)
      await expect.poll(() => folder.text('output'), POLL).toMatch(new RegExp(`^${text}$`, 'm'))
      expect(await ask(copy, 'end')).toEqual({ code: 7 })
    })
  })

const POLL = { interval: 10, timeout: 20_000 }

async function ask(running: Running, path: string): Promise<Record<string, unknown>> {
  const { status, body } = await running.get(PORT, `/${path}`)
  expect(status).toBe(200)
  return JSON.parse(body) as Record<string, unknown>
}
