/** What a shell starts: a pipeline that stands still halfway, and daemons that have left it. */

import { rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { missing } from './installed.ts'
import { RedisClient } from './resp.ts'
import { Folder, Running, sharedHost, untilIdle, untilReady } from './running.ts'

const host = sharedHost()
const programs = fileURLToPath(new URL('../../fixtures/programs/', import.meta.url))
const POLL = { interval: 10, timeout: 20_000 }

const doubles = (from: number, to: number): string => Array.from({ length: to - from + 1 }, (_, i) => `${(from + i) * 2}\n`).join('')

test('a pipeline that stands still halfway goes on, and loses nothing', async ({ skip }) => {
  skip(missing('bash') !== undefined, missing('bash'))
  using folder = new Folder()
  await using original = await Running.start(await host(), folder, 'bash', [`${programs}pipeline.sh`])
  await untilReady(folder)
  expect(folder.text('first')).toBe(doubles(1, 100))
  await original.useCopies(async (_, before) => {
    if (before === 0) {
      writeFileSync(folder.file('go-some'), '')
      await expect.poll(() => folder.text('some'), POLL).not.toBe('')
      expect(folder.text('some')).toBe(doubles(101, 1100))
      for (const name of ['go-some', 'some']) rmSync(folder.file(name))
      return
    }
    writeFileSync(folder.file('go-rest'), '')
    await expect.poll(() => folder.text('output'), POLL).toMatch(/^ended with 3 4 0$/m)
    expect(folder.text('rest')).toBe(doubles(1101, 50_000))
  })
})

test('a daemon, whose session has lost its leader, serves on', async ({ skip }) => {
  skip(missing('python3') !== undefined, missing('python3'))
  using folder = new Folder()
  await using original = await Running.start(await host(), folder, 'python3', [`${programs}daemon.py`])
  await untilReady(folder)
  const ask = async (running: Running, path: string): Promise<unknown> => JSON.parse((await running.get(8000, path)).body)
  const warm = await ask(original, '/warm')
  expect(warm).toMatchObject({ parent: 1, umask: 0o27, answer: '1 /warm' })
  await untilIdle()
  await original.useCopies(async (copy, before) => {
    expect(await ask(copy, '/copy')).toEqual({ ...(warm as object), answer: `${before + 2} /copy` })
  })
})

test('Redis serves on as a daemon', async ({ skip }) => {
  skip(missing('redis-server') !== undefined, missing('redis-server'))
  using folder = new Folder()
  const args = ['--port', '6379', '--save', '', '--daemonize', 'yes', '--dir', folder.path, '--pidfile', folder.file('pid')]
  await using original = await Running.start(await host(), folder, 'redis-server', args)
  await original.listens(6379)
  const visit = async (redis: Running): Promise<unknown> => {
    await using client = new RedisClient(await redis.connect(6379))
    return await client.call('INCR', 'visits')
  }
  expect(await visit(original)).toBe(1)
  await untilIdle()
  await original.useCopies(async (copy, before) => {
    expect(await visit(copy)).toBe(before + 2)
  })
})
