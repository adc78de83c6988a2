/** A warm-up whose snapshot cannot be used leaves nothing behind in the engine, which lives on in watch mode. */
import { closeSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, it, vi } from 'vitest'
import { closeCheckpointPool, Image } from '../../dist/core/index.js'
import { Hosts } from '../../dist/plugin/engine/hosts.js'
import { Launch } from '../../dist/plugin/engine/launch.js'

const folder = mkdtempSync(join(tmpdir(), 'thaw-launch-'))
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await closeCheckpointPool()
})

function filesInMemory(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`)
      return path.startsWith('/memfd:') ? [path] : []
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

/** `lost` is a file that the fixture needs, and that goes between its checkpoint and the loading of that. */
it.each([
  ['a snapshot that cannot be loaded', (lost: string) => ['cp "$(command -v sleep)" "$1"; exec "$1" 100', lost]],
  ['a snapshot of which no copy comes up', (lost: string) => ['exec 5> "$1"; exec sleep 100', lost]],
] as const)('%s', async (_, program) => {
  const hosts = new Hosts()
  await using host = await hosts.current()
  const before = { files: filesInMemory(), templates: templates(host.pid) }
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
  expect({ files: filesInMemory(), templates: templates(host.pid) }).toEqual(before)
})
