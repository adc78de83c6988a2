/** The command line as people run it, against real processes, and a look at what it leaves behind. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmodSync, closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { killIfAlive, untilDead } from '../../dist/core/sandbox/death.js'
import { native } from '../../dist/native/index.js'

const main = fileURLToPath(new URL('../../dist/core/cli/main.js', import.meta.url))
export const tool = (name: string): string => fileURLToPath(new URL(`../../build/Release/tools/${name}`, import.meta.url))

/** As nobody special, where this runs as root. */
export const ordinary: readonly string[] = process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : []

export interface Result {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface ThawOptions {
  /** Goes before the command. */
  readonly wrapper?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** By default the one that runs the tests. */
  readonly node?: string
}

/** For what takes no time on a machine that is not busy. */
const PATIENCE_MS = 15_000

/** Marks processes of this test run: everything that a command starts inherits it. */
const MARK = `THAW_TEST_MARK=${randomUUID()}`

export function startThaw(args: readonly string[], { wrapper = [], env = {}, node = process.execPath }: ThawOptions = {}): ChildProcess {
  const [name = '', value = ''] = MARK.split('=')
  const [file = '', ...rest] = [...wrapper, node, main, ...args]
  return spawn(file, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env, [name]: value } })
}

/** Runs a command to its end. */
export async function thaw(args: readonly string[], options: ThawOptions = {}): Promise<Result> {
  const child = startThaw(args, options)
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const [stdout, stderr, status] = await Promise.all([text(child.stdout!), text(child.stderr!), exited])
  return { status, stdout, stderr }
}

interface Failure {
  readonly name: string
  readonly code: string
  readonly message: string
  readonly pid?: number
  readonly syscall?: string
  readonly errno?: number
}

/** Runs a command that must fail: its exit status, its error as an object, and once more as it is printed for people. */
export async function failing(args: readonly string[], options: ThawOptions = {}): Promise<Failure & { readonly status: number | null }> {
  const { status, stdout, stderr } = await thaw([...args, '--json'], options)
  expect(stderr).toBe('')
  const { error } = JSON.parse(stdout) as { error: Failure }
  return { status, ...error }
}

/** A folder that everybody may write to, gone with what it holds. */
export class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'thaw-cli-'))

  constructor() {
    chmodSync(this.path, 0o777)
  }

  file(name: string): string {
    return join(this.path, name)
  }

  get names(): string[] {
    return readdirSync(this.path).sort()
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

export interface ProgramOptions {
  readonly args?: readonly string[]
  readonly wrapper?: readonly string[]
  /** By default once it has counted. */
  /** Whether it leads a session of its own, the default, or stays in this one. */
  readonly leads?: boolean
  readonly isReady?: (file: string) => boolean
}

const MOST_WAITS = 4000
const WAIT_MS = 5

/**
 * A program of `tests/tools` that counts in a file, leading a session of its own, with nothing open but its standard streams and that file;
 * or another program that is told such a file.
 */
export class Counter implements AsyncDisposable {
  readonly pid: number
  readonly file: string
  readonly #pidfd: number

  private constructor(pid: number, pidfd: number, file: string) {
    this.pid = pid
    this.#pidfd = pidfd
    this.file = file
  }

  static async start(
    folder: Folder,
    program: string = tool('counter'),
    { wrapper = [], args = [], leads = true, isReady }: ProgramOptions = {},
  ): Promise<Counter> {
    const file = folder.file('count')
    const [nothing, output] = [openSync('/dev/null', 'r'), openSync(folder.file('output'), 'a', 0o666)]
    // An ordinary user's restore opens it again.
    chmodSync(folder.file('output'), 0o666)
    const command = ['-C', folder.path, ...(leads ? ['setsid'] : []), ...wrapper, program, file, ...args]
    const { pid, pidfd } = native.spawnProcess('/usr/bin/env', command, [nothing, output, output])
    for (const fd of [nothing, output]) closeSync(fd)
    const counter = new Counter(pid, pidfd, file)
    // Not expect.poll, which works in tests only: hooks start counters, too.
    const ready = (): boolean => existsSync(file) && readFileSync(file).length >= 8 && (isReady?.(file) ?? counter.count > 0n)
    for (let waits = 0; !ready(); waits++) {
      if (waits === MOST_WAITS) throw new Error(`${program} was not ready after ${MOST_WAITS * WAIT_MS} ms`)
      await sleep(WAIT_MS)
    }
    return counter
  }

  /** What stands in its file, whoever wrote it. */
  get count(): bigint {
    const bytes = existsSync(this.file) ? readFileSync(this.file) : Buffer.alloc(0)
    return bytes.length < 8 ? 0n : bytes.readBigUInt64LE()
  }

  /** Fails unless it goes on counting, from where it was. */
  async expectToGoOn(): Promise<void> {
    const before = this.count
    await expect.poll(() => this.count, { interval: 5, timeout: PATIENCE_MS }).toBeGreaterThan(before + 2n)
  }

  async expectToStandStill(): Promise<void> {
    const before = this.count
    await sleep(60)
    expect(this.count).toBe(before)
  }

  /** Resolves when it has ended, however that came. */
  get ended(): Promise<void> {
    return untilDead(this.#pidfd)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    killIfAlive(this.#pidfd, 9)
    await this.ended
    native.reap(this.pid)
    closeSync(this.#pidfd)
  }
}

/** Processes that commands of this test run have started and left. */
export function leftBehind(): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return []
    try {
      return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(MARK)
        ? [`${pid} ${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()}`]
        : []
    } catch {
      return [] // it has just ended
    }
  })
}

/** Fails unless nothing is there any more after a while. What is, is not left for the next test. */
export async function expectNothingLeft(): Promise<void> {
  try {
    await expect.poll(leftBehind, { interval: 20, timeout: PATIENCE_MS }).toEqual([])
  } finally {
    for (const line of leftBehind()) spawnSync('kill', ['-KILL', line.split(' ')[0] ?? ''])
  }
}

/** Fails unless the condition holds within a while. */
export async function eventually(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { interval: 10, timeout: PATIENCE_MS }).toBe(true)
}

export const isAlive = (pid: number): boolean => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
