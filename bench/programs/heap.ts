/** fixtures/programs/heap.c: so many megabytes of a pattern, which it checks itself when it is told to. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command, Connect, Place, Program } from './program.ts'

const PROGRAM = fileURLToPath(new URL('../../build/Release/fixtures/heap', import.meta.url))
const TIMEOUT_MS = 60_000
/** A few turns of its waiting loop. */
const IDLE_MS = 20

export class Heap implements Program {
  readonly name: string
  readonly repeats: number
  readonly #megabytes: number

  constructor(megabytes: number, repeats: number) {
    this.name = `c-${megabytes}mb`
    this.repeats = repeats
    this.#megabytes = megabytes
  }

  command({ folder }: Place): Command {
    const args = [join(folder, 'trigger'), join(folder, 'report'), String(this.#megabytes)]
    return { command: PROGRAM, args, cwd: folder, env: {} }
  }

  async ready(_connect: Connect, _place: Place, stdout: string): Promise<void> {
    await until(() => readFileSync(stdout, 'utf8').includes('ready'))
  }

  warmUp(): Promise<void> {
    return Promise.resolve()
  }

  async use(): Promise<void> {
    await sleep(IDLE_MS)
  }

  async verify(_connect: Connect, { folder }: Place): Promise<void> {
    const [trigger, report] = [join(folder, 'trigger'), join(folder, 'report')]
    writeFileSync(trigger, '')
    try {
      await until(() => existsSync(report) && readFileSync(report, 'utf8').endsWith('\n'))
      const said = readFileSync(report, 'utf8').trim()
      if (said !== 'ok') throw new Error(`${this.name} says of its copy: ${said}`)
    } finally {
      for (const path of [trigger, report]) rmSync(path, { force: true })
    }
  }
}

async function until(isSo: () => boolean): Promise<void> {
  for (const giveUpAt = performance.now() + TIMEOUT_MS; !isSo(); await sleep(1)) {
    if (performance.now() > giveUpAt) throw new Error(`heap: nothing for ${TIMEOUT_MS} ms`)
  }
}
