/** As README has it by hand: a program that was started by anybody, `thaw dump PID`, `thaw restore --detach`, and it goes on. */

import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, Socket, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { killIfAlive, untilDead } from '../../dist/core/sandbox/death.js'
import { native } from '../../dist/native/index.js'
import { thaw } from '../cli/harness.ts'
import { missing, nodes } from './installed.ts'
import { RedisClient } from './resp.ts'
import { Folder, untilIdle, untilReady } from './running.ts'

const SIGKILL = 9

test('python3 -m http.server', async ({ skip }) => {
  skip(missing('python3') !== undefined, missing('python3'))
  using folder = new Folder()
  writeFileSync(folder.file('hello.txt'), 'hello')
  const port = await freePort()
  await using original = start(folder, ['python3', '-m', 'http.server', `${port}`, '--bind', '127.0.0.1'])
  await expect.poll(() => get(port, '/hello.txt').catch(() => ''), { timeout: 20_000 }).toBe('hello')
  await untilIdle()
  await using _copy = await dumpAndRestore(folder, original)
  expect(await get(port, '/hello.txt')).toBe('hello')
})

test('a Node 24 server with timers and workers', async ({ skip }) => {
  const node = nodes['Node 24'] ?? ''
  skip(missing(node) !== undefined, missing(node))
  using folder = new Folder()
  const program = fileURLToPath(new URL('../../fixtures/programs/node-server.mjs', import.meta.url))
  await using original = start(folder, [node, program, folder.file('trigger'), folder.file('report')])
  await untilReady(folder)
  const port = Number(/listening on (\d+)/.exec(folder.text('output'))?.[1])
  const state = async () => JSON.parse(await get(port, '/state')) as { pid: number; requests: number; ticks: number; now: number }
  const before = await state()
  await untilIdle()
  await using _copy = await dumpAndRestore(folder, original)
  const after = await state()
  expect(after).toMatchObject({ pid: before.pid, requests: before.requests + 1 })
  expect(after.ticks).toBeGreaterThan(before.ticks)
})

test('redis-server with data', async ({ skip }) => {
  skip(missing('redis-server') !== undefined, missing('redis-server'))
  using folder = new Folder()
  const port = await freePort()
  await using original = start(folder, ['redis-server', '--port', `${port}`, '--save', '', '--dir', folder.path])
  await expect.poll(() => call(port, 'SET', 'key', 'value').catch(() => ''), { timeout: 20_000 }).toBe('OK')
  await untilIdle()
  await using _copy = await dumpAndRestore(folder, original)
  expect(await call(port, 'GET', 'key')).toBe('value')
  expect(await call(port, 'INCR', 'counter')).toBe(1)
})

/** A process that is ended when the test is over. */
class Process implements AsyncDisposable {
  readonly pid: number
  readonly #pidfd: number
  readonly #isChild: boolean

  constructor(pid: number, child?: { readonly pidfd: number }) {
    this.pid = pid
    this.#isChild = child !== undefined
    this.#pidfd = child?.pidfd ?? native.pidfdOpen(pid)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    killIfAlive(this.#pidfd, SIGKILL)
    await untilDead(this.#pidfd)
    if (this.#isChild) native.reap(this.pid)
    closeSync(this.#pidfd)
  }
}

/** Leading a session of its own, with nothing but its standard streams. */
function start(folder: Folder, command: readonly string[]): Process {
  const [nothing, output] = [openSync('/dev/null', 'r'), openSync(folder.file('output'), 'a')]
  const { pid, pidfd } = native.spawnProcess('/usr/bin/env', ['-C', folder.path, 'setsid', ...command], [nothing, output, output])
  for (const fd of [nothing, output]) closeSync(fd)
  return new Process(pid, { pidfd })
}

/** The copy, by the pid that the command line has written. */
async function dumpAndRestore(folder: Folder, { pid }: Process): Promise<Process> {
  const [images, pidFile] = [folder.file('images'), folder.file('pid')]
  expect(await thaw(['dump', `${pid}`, '--images', images])).toMatchObject({ status: 0, stderr: '' })
  expect(await thaw(['restore', '--images', images, '--detach', '--pid-file', pidFile])).toMatchObject({ status: 0, stderr: '' })
  return new Process(Number(readFileSync(pidFile, 'utf8')))
}

async function get(port: number, path: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } })
  return await response.text()
}

async function call(port: number, ...words: readonly string[]): Promise<unknown> {
  const socket = new Socket().connect(port, '127.0.0.1')
  await once(socket, 'connect')
  await using client = new RedisClient(socket)
  return await client.call(...words)
}

/** Of the host's, as nothing has a network of its own here. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
