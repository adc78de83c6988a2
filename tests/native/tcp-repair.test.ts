/** Repair mode does not outlive the process that reads a connection in it, whenever that is killed. */
import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'

const [AF_INET, SOCK_STREAM, SOL_SOCKET, IPPROTO_TCP] = [2, 1, 1, 6]
const [SO_REUSEADDR, TCP_REPAIR] = [2, 19]
const KILLS = 12
const READER = `import { native } from '${new URL('../../dist/native/index.js', import.meta.url).href}'; console.log('up'); for (;;) native.readTcpState(3)`

const int = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true)

test('a reader that is killed leaves a connection as it was', async ({ skip }) => {
  const listener = native.socket(AF_INET, SOCK_STREAM, 0)
  native.bindSocket(listener, Uint8Array.of(AF_INET, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0))
  native.listenSocket(listener, 1)
  const client = native.socket(AF_INET, SOCK_STREAM, 0)
  native.setsockopt(client, SOL_SOCKET, SO_REUSEADDR, new Uint8Array(Int32Array.of(1).buffer))
  native.connectSocket(client, native.getsockname(listener))
  const server = Number(native.syscall('accept4', [listener, 0, 0, 0]))
  try {
    native.sendMessage(server, new Uint8Array(50_000), [])
    try {
      native.readTcpState(client)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EPERM') skip('needs CAP_NET_ADMIN')
      throw error
    }
    for (let i = 0; i < KILLS; i++) {
      const reader = spawn(process.execPath, ['--input-type=module', '-e', READER], { stdio: ['ignore', 'pipe', 'inherit', client] })
      await once(reader.stdout!, 'data')
      await sleep(i)
      reader.kill('SIGKILL')
      await once(reader, 'exit')
      // What it had begun takes microseconds.
      await sleep(20)
      expect(int(native.getsockopt(client, IPPROTO_TCP, TCP_REPAIR, 4))).toBe(0)
      expect(int(native.getsockopt(client, SOL_SOCKET, SO_REUSEADDR, 4))).toBe(1)
    }
    expect(native.receiveMessage(client, 50_000, 0)?.bytes).toHaveLength(50_000)
  } finally {
    for (const fd of [listener, client, server]) closeSync(fd)
  }
})
