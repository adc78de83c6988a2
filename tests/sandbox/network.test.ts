import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { createServer, Socket, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { openHost, type Host } from '../../dist/core/sandbox/host.js'
import type { Sandbox } from '../../dist/core/sandbox/sandbox.js'
import { quiet, run } from './harness.ts'

const PORT = 4000

let host: Host
beforeAll(async () => {
  host = await openHost()
})
afterAll(() => host[Symbol.asyncDispose]())

/** A server inside that says `answer` to everyone. Resolves when it listens. */
async function serve(sandbox: Sandbox, answer: string, address: string): Promise<void> {
  const source = `require('net').createServer((c) => c.end('${answer}')).listen(${PORT}, '${address}', () => console.log())`
  const [reading, writing] = native.pipe(0)
  await sandbox.start(process.execPath, ['-e', source], { stdio: [quiet[0], writing, 2] })
  native.read(reading, 1)
  for (const fd of [reading, writing]) closeSync(fd)
}

const ask = async (sandbox: Sandbox): Promise<string> => text(new Socket({ fd: await sandbox.connect(PORT) }))

test('the same port in two sandboxes', async () => {
  await using one = await host.createSandbox({ network: 'new' })
  await using two = await host.createSandbox({ network: 'new' })
  await serve(one, 'one', '127.0.0.1')
  await serve(two, 'two', '127.0.0.1')
  expect([await ask(one), await ask(two)]).toEqual(['one', 'two'])
})

test('a server that listens on ::1 only', async () => {
  await using sandbox = await host.createSandbox({ network: 'new' })
  await serve(sandbox, 'six', '::1')
  expect(await ask(sandbox)).toBe('six')
})

test('nobody listens', async () => {
  await using sandbox = await host.createSandbox({ network: 'new' })
  await expect(sandbox.connect(PORT)).rejects.toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect' })
})

test('a full accept queue delays, and does not fail', async () => {
  await using sandbox = await host.createSandbox({ network: 'new' })
  const source = `import socket, sys, time
s = socket.socket(); s.bind(('127.0.0.1', ${PORT})); s.listen(0); print(flush=True)
time.sleep(0.3)
while True: s.accept()[0].sendall(b'late')`
  const [reading, writing] = native.pipe(0)
  await sandbox.start('python3', ['-c', source], { stdio: [quiet[0], writing, 2] })
  native.read(reading, 1)
  const connections = await Promise.all([1, 2, 3].map(() => sandbox.connect(PORT)))
  for (const fd of [...connections, reading, writing]) closeSync(fd)
})

test('sockets of the sandbox are of its network', async () => {
  await using sandbox = await host.createSandbox({ network: 'new' })
  const [netlinkRoute, socketRaw] = [16, 3]
  const fd = sandbox.socket(netlinkRoute, socketRaw, 0)
  // SIOCGSKNS: a descriptor of the socket's network namespace.
  const namespace = native.ioctl(fd, 0x894c, new Uint8Array())
  expect(native.statFd(namespace).inode).toBe(native.statPath(`/proc/${sandbox.initPid}/ns/net`).inode)
  for (const open of [fd, namespace]) closeSync(open)
})

test('with the network of the host, its ports', async () => {
  await using sandbox = await host.createSandbox({ network: 'host' })
  const server = createServer((connection) => connection.end('host')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const fd = await sandbox.connect((server.address() as AddressInfo).port)
  expect(await text(new Socket({ fd }))).toBe('host')
  server.close()
})

test('loopback is up, with both families', async () => {
  await using sandbox = await host.createSandbox({ network: 'new' })
  const { output } = await run(sandbox, 'cat', ['/proc/net/if_inet6', '/proc/net/fib_trie'])
  expect(output).toMatch(/^0{31}1 .* lo$/m)
  expect(output).toContain('127.0.0.1')
})
