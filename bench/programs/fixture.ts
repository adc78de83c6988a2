/** A program of fixtures/programs, which checks itself when it is told to. */
import { closeSync, constants, existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command, Connect, Place, Program } from './program.ts'

const TIMEOUT_MS = 60_000
/** As long as a test would have something of it, at least. */
const IDLE_MS = 20

export interface FixtureOptions {
  readonly name: string
  readonly repeats: number
  /** What it is called by, before the two files of the protocol. */
  readonly command: (place: Place) => readonly [string, ...string[]]
  readonly arguments: (place: Place) => readonly string[]
  readonly onlyIfNamed?: true
}

/** One in C. */
export const built = (program: string): [string] => [fileURLToPath(new URL(`../../build/Release/fixtures/${program}`, import.meta.url))]

export class Fixture implements Program {
  readonly name: string
  readonly repeats: number
  readonly onlyIfNamed?: true
  readonly #options: FixtureOptions

  constructor(options: FixtureOptions) {
    this.name = options.name
    this.repeats = options.repeats
    if (options.onlyIfNamed === true) this.onlyIfNamed = true
    this.#options = options
  }

  command(place: Place): Command {
    const { folder } = place
    const [command, ...args] = this.#options.command(place)
    const own = this.#options.arguments(place)
    return { command, args: [...args, join(folder, 'trigger'), join(folder, 'report'), ...own], cwd: folder, env: {} }
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
      await until(() => wake(`${trigger}.fifo`))
      await until(() => existsSync(report) && readFileSync(report, 'utf8').endsWith('\n'))
      const said = readFileSync(report, 'utf8').trim()
      if (said !== 'ok') throw new Error(`${this.name} says of its copy: ${said}`)
    } finally {
      for (const path of [trigger, report]) rmSync(path, { force: true })
    }
  }
}

/** One in C waits for somebody to open its named pipe, others look for the trigger. @returns whether it was waiting */
function wake(fifo: string): boolean {
  if (!existsSync(fifo)) return true
  try {
    closeSync(openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENXIO') return false
    throw error
  }
}

async function until(isSo: () => boolean): Promise<void> {
  for (const giveUpAt = performance.now() + TIMEOUT_MS; !isSo(); await sleep(1)) {
    if (performance.now() > giveUpAt) throw new Error(`nothing for ${TIMEOUT_MS} ms`)
  }
}
