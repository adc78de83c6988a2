/** Outer runs: Vitest as a user starts it, on a project in which the package is installed. */
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'

const ROOT = resolve(import.meta.dirname, '../..')
const FILES = join(import.meta.dirname, 'outer')

export const VERSIONS = ['vitest', 'vitest-4'] as const
export type Version = (typeof VERSIONS)[number]

const OPTIONS = { extendEnv: false, reject: false, all: true, stdin: 'ignore' } as const

export interface Outcome {
  readonly exitCode: number | undefined
  /** What the default reporter printed, without colours, with stderr. */
  readonly text: string
  readonly tests: readonly OuterTest[]
}

export interface OuterTest {
  readonly fullName: string
  readonly status: 'passed' | 'failed' | 'skipped' | 'pending'
  readonly failureMessages: readonly string[]
  readonly meta: {
    readonly thaw?: { readonly restoreMs: number; readonly waitMs: number; readonly restores: number; readonly warmUps: number }
  }
}

export interface OuterProcess {
  readonly pid: number
  readonly parent: number
  readonly command: string
}

/** A folder with a copy of `outer/`, the built package in its node_modules as npm would put it, and one Vitest. */
export class OuterProject implements AsyncDisposable {
  readonly folder: string
  readonly #version: Version
  /** Beside the folder, which Vitest watches: a Vitest that is killed leaves its files there. */
  readonly #temporary: string

  constructor(version: Version) {
    mkdirSync(join(ROOT, 'build/outer'), { recursive: true })
    this.folder = mkdtempSync(join(ROOT, 'build/outer', `${version}-`))
    this.#version = version
    this.#temporary = `${this.folder}.tmp`
    mkdirSync(this.#temporary)
    cpSync(FILES, this.folder, { recursive: true })
    writeFileSync(join(this.folder, 'package.json'), '{ "type": "module" }')
    // A copy, not a link: through a link, the package would find this repository's Vitest and not the project's.
    const installed = join(this.folder, 'node_modules/vitest-thaw')
    cpSync(join(ROOT, 'dist'), join(installed, 'dist'), { recursive: true })
    copyFileSync(join(ROOT, 'package.json'), join(installed, 'package.json'))
    symlinkSync(join(ROOT, 'build'), join(installed, 'build'))
    // Everything else is found in the repository's node_modules, above.
    symlinkSync(join(ROOT, 'node_modules', version), join(this.folder, 'node_modules/vitest'))
  }

  /** Starts `vitest run` and returns while it runs. */
  start(...args: string[]) {
    return this.#vitest(['run', '--reporter=default', '--reporter=json', '--outputFile.json=report.json', ...args])
  }

  /** `vitest run` with the reporters of the config; what it prints where. */
  async print(...args: string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
    const { stdout, stderr } = await this.#vitest(['run', ...args])
    return { stdout, stderr }
  }

  /** Starts Vitest in watch mode: it runs until it is stopped. */
  watch(...args: string[]) {
    return this.#vitest(['watch', ...args], { stdin: 'pipe' })
  }

  /** Like `run`, by another user, who then owns the project. */
  async runAs(id: number, ...args: string[]): Promise<Outcome> {
    await execa('chown', ['-hR', `${id}:${id}`, this.folder, this.#temporary])
    const { exitCode, all } = await this.#vitest(['run', '--reporter=default', ...args], { uid: id, gid: id })
    return { exitCode, text: all, tests: [] }
  }

  #vitest(args: readonly string[], options: { stdin?: 'pipe'; uid?: number; gid?: number } = {}) {
    const vitest = join(ROOT, 'node_modules', this.#version, 'vitest.mjs')
    const env = { ...clean(process.env), THAW_OUTER: this.folder, TMPDIR: this.#temporary, NO_COLOR: '1' }
    return execa(process.execPath, [vitest, ...args], { ...OPTIONS, cwd: this.folder, env, ...options })
  }

  async run(...args: string[]): Promise<Outcome> {
    const { exitCode, all } = await this.start(...args)
    return { exitCode, text: all, tests: this.tests() }
  }

  read(file: string): string {
    const path = join(this.folder, file)
    return existsSync(path) ? readFileSync(path, 'utf8') : ''
  }

  /** Everything that runs because of this project: it has the project's variable in its environment, or its folder in its command. */
  processes(): OuterProcess[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => {
        try {
          const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
          const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
          if (!command.includes(this.folder) && !environment.includes(this.folder)) return []
          const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
          const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
          return state === 'Z' ? [] : [{ pid: Number(pid), parent: Number(parent), command }]
        } catch {
          return [] // gone in the meantime
        }
      })
  }

  /** What is left of it after at most `withinMs`. */
  async leftovers(withinMs: number): Promise<OuterProcess[]> {
    const until = performance.now() + withinMs
    while (this.processes().length > 0 && performance.now() < until) await sleep(20)
    return this.processes()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { pid } of this.processes()) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    }
    await this.leftovers(1000)
    for (const folder of [this.folder, this.#temporary]) rmSync(folder, { recursive: true, force: true })
  }

  /** Of the last run. */
  tests(): OuterTest[] {
    const text = this.read('report.json')
    if (text === '') return []
    const { testResults } = JSON.parse(text) as { testResults: { assertionResults: OuterTest[] }[] }
    return testResults.flatMap(({ assertionResults }) => assertionResults)
  }
}

/** Waits until something is so; for what another process does. */
export async function until<Value>(look: () => Value | undefined | false, withinMs = 45_000): Promise<Value> {
  const giveUpAt = performance.now() + withinMs
  for (;;) {
    const value = look()
    if (value) return value
    if (performance.now() > giveUpAt) throw new Error(`not so after ${withinMs} ms: ${look}`)
    await sleep(10)
  }
}

/** Without what the Vitest that runs this test has put there. */
function clean(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(VITEST|NODE_ENV|TEST$|TALLY)/.test(name)))
}
