/** Python with processes of its own: multiprocessing by each of its start methods, and asyncio's. */

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { missing } from './installed.ts'
import { Folder, Running, sharedHost, untilIdle, untilReady } from './running.ts'

const host = sharedHost()
const PORT = 8000
const programs = fileURLToPath(new URL('../../fixtures/programs/', import.meta.url))

async function start(folder: Folder, program: string, ...args: readonly string[]): Promise<Running> {
  const running = await Running.start(await host(), folder, 'python3', [programs + program, ...args], { PYTHONDONTWRITEBYTECODE: '1' })
  await untilReady(folder)
  return running
}

for (const method of ['fork', 'spawn', 'forkserver'])
  test(`multiprocessing, by ${method}: processes share memory, locks and queues as before`, async ({ skip }) => {
    skip(missing('python3') !== undefined, missing('python3'))
    using folder = new Folder()
    await using original = await start(folder, 'multiprocessing-server.py', method)
    const ask = async (running: Running, path: string): Promise<{ pid: number; answer: unknown }> => {
      const { status, body } = await running.get(PORT, path)
      expect(status).toBe(200)
      return JSON.parse(body) as { pid: number; answer: unknown }
    }
    const { pid, answer } = await ask(original, '/queue/1')
    for (const path of ['/pool/3', '/shared/1', '/manager/1', '/locks/1', '/pipe/1']) await ask(original, path)
    await untilIdle()

    await original.useCopies(async (copy, before) => {
      const get = async (path: string): Promise<unknown> => (await ask(copy, path)).answer
      const total = 1 + 5 * (before + 1)
      const queue = await ask(copy, '/queue/5')
      expect(queue).toMatchObject({ pid, answer: { number: 5 } })
      if (before === 0) expect(queue.answer).toEqual({ ...(answer as object), number: 5, served: 7 })
      expect(await get('/pool/5')).toEqual([0, 1, 4, 9, 16])
      expect(await get('/shared/5')).toEqual({ value: total, array: [total, total], memory: total })
      expect(await get('/manager/5')).toMatchObject({ begun: true, 1: 4, 5: expect.any(Number) as number })
      expect(await get('/locks/1000')).toEqual({ count: 2 + 2000 * (before + 1), free: 4 })
      expect(await get('/pipe/5')).toMatchObject({ number: 10 })
      expect(await get('/end/0')).toEqual([-15, true])
      if (before === 0) return
      await get('/quit/0')
      // With its end, and not before, its folder is gone from the machine.
      await expect.poll(() => existsSync(`/proc/${copy.pid}`), { interval: 10, timeout: 20_000 }).toBe(false)
      expect(folder.text('output')).toMatch(/^over$/m)
    })
  })

test('asyncio: processes, threads and timers go on', async ({ skip }) => {
  skip(missing('python3') !== undefined, missing('python3'))
  using folder = new Folder()
  await using original = await start(folder, 'asyncio-subprocess.py')
  const ask = async (running: Running, line: string): Promise<string> => {
    const socket = await running.connect(PORT)
    socket.end(`${line}\n`)
    return Buffer.concat(await socket.toArray())
      .toString()
      .trim()
  }
  const [, threads] = /^1 <warm> (\d+)$/.exec(await ask(original, 'warm')) ?? []
  expect(Number(threads)).toBeGreaterThan(3)
  await untilIdle()

  await original.useCopies(async (copy, before) => {
    if (before === 0) expect(await ask(copy, 'copy')).toBe(`2 <copy> ${threads}`)
    expect(await ask(copy, 'end')).toBe('ended with 5')
    expect(await ask(copy, 'again')).toBe(`1 <again> ${threads}`)
  })
})
