/** What a worker is given and cannot be told of is taken back. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { afterAll, expect, it, vi } from 'vitest'
import { closeCheckpointPool } from '../../dist/core/index.js'
import { native } from '../../dist/native/index.js'
import { Client } from '../../dist/plugin/engine/client.js'
import { Engine } from '../../dist/plugin/engine/engine.js'
import { sendDescriptors } from '../../dist/plugin/protocol/descriptors.js'
import { readFrames } from '../../dist/plugin/protocol/frames.js'
import type { Reply } from '../../dist/plugin/protocol/messages.js'

afterAll(closeCheckpointPool)

/** Both ends of a connection. Nobody reads what the engine's end is given until somebody wants it. */
async function connection(): Promise<{ engine: Socket; worker: Socket }> {
  const address = `\0thaw-client-test-${randomBytes(8).toString('hex')}`
  const server = createServer()
  server.listen(address)
  await once(server, 'listening')
  const worker = connect(address).pause()
  const [engine] = (await once(server, 'connection')) as [Socket]
  server.close()
  // What nobody has read when it is closed resets it.
  for (const socket of [engine, worker]) socket.on('error', () => {})
  return { engine, worker }
}

function running(argument: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8') === `sleep\0${argument}\0`
    } catch {
      return false // gone in the meantime
    }
  })
}

it('a copy whose answer cannot be sent is taken down', async () => {
  const conversation = await connection()
  const descriptors = await connection()
  const engine = new Engine()
  const client = new Client(conversation.engine, descriptors.engine, engine)
  const replies = new Map<number, Reply>()
  readFrames(conversation.worker, (reply: Reply) => {
    if ('id' in reply) replies.set(reply.id, reply)
  })
  conversation.worker.resume()
  let last = 0
  const ask = async (call: string, body: object): Promise<Reply> => {
    const id = ++last
    await client.handle({ id, call, body } as Parameters<Client['handle']>[0])
    return vi.waitFor(() => replies.get(id) ?? Promise.reject(new Error('no answer')), { timeout: 30_000, interval: 5 })
  }

  const argument = `1000.${randomBytes(4).readUInt32LE()}`
  const fixture = { project: '', name: 'unsent', file: '', scope: '', sourceHash: '', dependsOn: [] }
  const acquired = await ask('acquire', { fixture })
  const { place } = (acquired as { body: { place: number } }).body
  await ask('start', { place, command: 'sleep', args: [argument], cwd: '/', env: { PATH: process.env.PATH ?? '' } })
  await ask('warmed', { place, value: '' })
  // The template, and the copy that stands by.
  const before = running(argument)
  expect(before).toHaveLength(2)

  const send = (): void => sendDescriptors(native, descriptors.engine, [0])
  expect(() => {
    for (;;) send()
  }).toThrow('EAGAIN')
  expect(await ask('acquire', { fixture })).toMatchObject({ type: 'failed', error: { code: 'EAGAIN' } })
  await vi.waitFor(() => expect(running(argument).filter((pid) => before.includes(pid))).toHaveLength(1), 5000)

  engine.runStarted('something else')
  conversation.worker.destroy()
  descriptors.worker.destroy()
  await vi.waitFor(() => expect(running(argument)).toEqual([]), 5000)
})
