/** Repair mode does not outlive the process that reads a connection in it, whenever that is killed. */
import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import type { TcpState } from '../../dist/native/index.js'

const [AF_INET, SOCK_STREAM, SOL_SOCKET, IPPROTO_TCP] = [2, 1, 1, 6]
const [SO_REUSEADDR, TCP_REPAIR] = [2, 19]
const KILLS = 12
const READER = `import { native } from '${new URL('../../dist/native/index.js', import.meta.url).href}'; console.log('up'); for (;;) native.readTcpState(3)`

const PATTERN = 251
/** Writes bytes that count up to PATTERN, a few at a time. */
const SENDER = `const bytes = Uint8Array.from({ length: 251 }, (_, i) => i); for (;;) require('fs').writeSync(3, bytes)`

const int = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true)

/** A connection over the loopback; the client has SO_REUSEADDR. */
class Connection implements Disposable {
  readonly client = native.socket(AF_INET, SOCK_STREAM, 0)
  readonly server: number
  readonly #listener = native.socket(AF_INET, SOCK_STREAM, 0)

  constructor() {
    native.bindSocket(this.#listener, Uint8Array.of(AF_INET, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0))
    native.listenSocket(this.#listener, 1)
    native.setsockopt(this.client, SOL_SOCKET, SO_REUSEADDR, new Uint8Array(Int32Array.of(1).buffer))
    native.connectSocket(this.client, native.getsockname(this.#listener))
    this.server = Number(native.syscall('accept4', [this.#listener, 0, 0, 0]))
  }

  /** What repair mode tells of the client, or why it cannot be asked. */
  read(skip: (why: string) => never): TcpState {
    try {
      return native.readTcpState(this.client)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EPERM') skip('needs CAP_NET_ADMIN')
      throw error
    }
  }

  [Symbol.dispose](): void {
    for (const fd of [this.client, this.server, this.#listener]) closeSync(fd)
  }
}

test('a reader that is killed leaves a connection as it was', async ({ skip }) => {
  using connection = new Connection()
  const { client, server } = connection
  native.sendMessage(server, new Uint8Array(50_000), [])
  connection.read(skip)
  for (let i = 0; i < KILLS; i++) {
    const reader = spawn(process.execPath, ['--input-type=module', '-e', READER], { stdio: ['ignore', 'pipe', 'inherit', client] })
    await once(reader.stdout!, 'data')
    await sleep(i)
    reader.kill('SIGKILL')
    await once(reader, 'exit')
    // What it had begun it ends, as soon as it gets to run.
    while (int(native.getsockopt(client, IPPROTO_TCP, TCP_REPAIR, 4)) !== 0) await sleep(1)
    while (int(native.getsockopt(client, SOL_SOCKET, SO_REUSEADDR, 4)) !== 1) await sleep(1)
  }
  expect(native.receiveMessage(client, 50_000, 0)?.bytes).toHaveLength(50_000)
})

test('what is on its way is read whole or not at all', async ({ skip }) => {
  using connection = new Connection()
  const { client, server } = connection
  const start = connection.read(skip).receiveSequence
  const sender = spawn(process.execPath, ['-e', SENDER], { stdio: ['ignore', 'ignore', 'inherit', server] })
  try {
    let grown = 0
    for (let reads = 0, before = 0; reads < 5000 || grown < 100; reads++) {
      const { received, receiveSequence } = native.readTcpState(client)
      const from = (receiveSequence - received.length - start) >>> 0
      expect([from, received[0]]).toEqual([from, received.length === 0 ? undefined : from % PATTERN])
      expect([from, received.at(-1)]).toEqual([from, received.length === 0 ? undefined : (from + received.length - 1) % PATTERN])
      if (received.length > before) grown++
      before = received.length
      if (reads % 10 === 0 && before > 0) before -= native.receiveMessage(client, 50_000, 0)?.bytes.length ?? 0
    }
  } finally {
    sender.kill('SIGKILL')
    await once(sender, 'exit')
  }
})
