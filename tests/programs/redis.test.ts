import { expect, test } from 'vitest'
import { missing } from './installed.ts'
import { RedisClient, type Reply } from './resp.ts'
import { COPIES, Folder, Running, sharedHost, untilIdle } from './running.ts'

const host = sharedHost()
const PORT = 6379
const KEYS = 20_000

const open = async (redis: Running): Promise<RedisClient> => new RedisClient(await redis.connect(PORT))

async function start(folder: Folder, appendOnly: 'yes' | 'no'): Promise<Running> {
  const args = ['--port', `${PORT}`, '--save', '', '--appendonly', appendOnly, '--dir', folder.path]
  const redis = await Running.start(await host(), folder, 'redis-server', args)
  await redis.listens(PORT)
  // It listens while it still loads what it had written.
  await expect.poll(() => answersTo(redis, 'PING'), { interval: 10, timeout: 20_000 }).toBe('PONG')
  return redis
}

async function answersTo(redis: Running, command: string): Promise<Reply> {
  await using client = await open(redis)
  return await client.call(command)
}

/** Data of every kind, one key that expires, and a script. */
async function fill(redis: Running): Promise<void> {
  await using client = await open(redis)
  await client.call('EVAL', `for i = 1, ${KEYS} do redis.call('SET', 'key:' .. i, 'value ' .. i) end`, 0)
  await client.call('RPUSH', 'list', 'a', 'b', 'c')
  await client.call('HSET', 'hash', 'field', 'text')
  await client.call('ZADD', 'sorted', 2, 'two', 1, 'one')
  await client.call('SET', 'passing', 'soon gone', 'PX', 600_000)
  await client.call('INCR', 'starts')
}

async function expectData(client: RedisClient): Promise<void> {
  expect(await client.call('DBSIZE')).toBe(KEYS + 5)
  expect(await client.call('GET', 'key:1')).toBe('value 1')
  expect(await client.call('GET', `key:${KEYS}`)).toBe(`value ${KEYS}`)
  expect(await client.call('LRANGE', 'list', 0, -1)).toEqual(['a', 'b', 'c'])
  expect(await client.call('HGETALL', 'hash')).toEqual(['field', 'text'])
  expect(await client.call('ZRANGE', 'sorted', 0, -1)).toEqual(['one', 'two'])
  expect(await client.call('PTTL', 'passing')).toBeGreaterThan(500_000)
}

for (const appendOnly of ['no', 'yes'] as const) {
  test(`Redis with data, appendonly ${appendOnly}, goes on where it was, and again`, async ({ skip }) => {
    skip(missing('redis-server') !== undefined, missing('redis-server'))
    using folder = new Folder()
    await using original = await start(folder, appendOnly)
    await fill(original)
    await untilIdle()

    await original.useCopies((copy, before) => use(copy, before + 2))

    if (appendOnly === 'no') return
    // The file is the host's: each copy has appended to it.
    await using fresh = await start(folder, appendOnly)
    await use(fresh, COPIES + 3)
  })
}

/** All data is there, and it takes more. */
async function use(redis: Running, starts: number): Promise<void> {
  {
    await using client = await open(redis)
    await expectData(client)
    expect(await client.call('INCR', 'starts')).toBe(starts)
    // Redis puts writing off for as long as the disk is busy with what it wrote before (appendfsync everysec), and answers all the same.
    const unwritten = async (): Promise<string> =>
      /^aof_buffer_length:(\d+)/m.exec(String(await client.call('INFO', 'persistence')))?.[1] ?? '0'
    await expect.poll(unwritten, { interval: 10, timeout: 20_000 }).toBe('0')
  }
  await untilIdle()
}
