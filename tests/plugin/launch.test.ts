/** A warm-up whose snapshot cannot be used leaves nothing behind in the engine, which lives on in watch mode. */
import { once } from 'node:events'
import { closeSync, constants, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, it, vi } from 'vitest'
import { closeCheckpointPool, Image } from '../../dist/core/index.js'
import type { Client } from '../../dist/plugin/engine/client.js'
import { Hosts } from '../../dist/plugin/engine/hosts.js'
import { Launch } from '../../dist/plugin/engine/launch.js'

const folder = mkdtempSync(join(tmpdir(), 'thaw-launch-'))
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await closeCheckpointPool()
})

/** Descriptors of this process: files in memory are `/memfd:`, pipes `pipe:`. */
function openOf(kind: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`)
      return path.startsWith(kind) ? [path] : []
    } catch {
      return [] // the folder's own
    }
  })
}

/** Children of this process, apart from the host. */
function templates(host: number): number[] {
  return readdirSync('/proc/self/task')
    .flatMap((task) => readFileSync(`/proc/self/task/${task}/children`, 'utf8').split(' '))
    .filter((pid) => pid !== '')
    .map(Number)
    .filter((pid) => pid !== host)
}

/** What comes through a pipe first. */
async function firstOf(fd: number): Promise<string> {
  const socket = new Socket({ fd, readable: true, writable: false })
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return chunk.toString()
}

it('a worker that is gone while the snapshot is made leaves copies that can print', async () => {
  const hosts = new Hosts()
  await using host = await hosts.current()
  const launch = new Launch('alone', hosts)
  // A shell that prints into a broken pipe is killed, or ends with an error.
  const script = 'while sleep 0.02; do echo alive; echo alive >&2; done'
  const { output } = await launch.start({ command: 'sh', args: ['-c', script], cwd: folder, env: { PATH: process.env.PATH ?? '' } })
  await Promise.all(output.map(async (fd) => firstOf(openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK))))
  const pipes = output.map((fd) => readlinkSync(`/proc/self/fd/${fd}`))
  const finished = launch.finish('')
  for (const fd of output) closeSync(fd)
  launch.leave()
  await finished
  expect(openOf('pipe:').filter((pipe) => pipes.includes(pipe))).toEqual([])
  const outcome = await launch.outcome
  if (outcome.type !== 'warm') throw new Error(`it is ${outcome.type}`)
  for (let copies = 0; copies < 2; copies++) {
    const copy = await outcome.pool.take({ gone: new AbortController().signal } as Client, 0)
    expect(await Promise.all(copy.takeOutput().map(firstOf))).toEqual(Array(2).fill(expect.stringMatching(/^(alive\n)+$/)))
    copy.leave()
  }
  await outcome.pool.dispose()
  expect(host.isGone).toBe(false)
})

/** `lost` is a file that the fixture needs, and that goes between its checkpoint and the loading of that. */
it.each([
  ['a snapshot that cannot be loaded', (lost: string) => ['cp "$(command -v sleep)" "$1"; exec "$1" 100', lost]],
  ['a snapshot of which no copy comes up', (lost: string) => ['exec 5> "$1"; exec sleep 100', lost]],
] as const)('%s', async (_, program) => {
  const hosts = new Hosts()
  await using host = await hosts.current()
  const before = { files: openOf('/memfd:'), templates: templates(host.pid) }
  const lost = join(folder, 'lost')
  const launch = new Launch('lost', hosts)
  const env = { PATH: process.env.PATH ?? '' }
  const [script, file] = program(lost)
  const { output } = await launch.start({ command: 'sh', args: ['-c', script, 'sh', file], cwd: folder, env })
  await sleep(300)
  const { load } = Image.prototype
  using _removal = vi.spyOn(Image.prototype, 'load').mockImplementation(function (this: Image, ...args) {
    rmSync(lost)
    return load.apply(this, args)
  })
  await expect(launch.finish('')).rejects.toThrow(lost)
  expect((await launch.outcome).type).toBe('failed')
  for (const fd of output) closeSync(fd)
  expect({ files: openOf('/memfd:'), templates: templates(host.pid) }).toEqual(before)
})
