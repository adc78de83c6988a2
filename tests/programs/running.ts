/** Programs as people have them, in sandboxes: started, checkpointed, brought back, and talked to by a client as if nothing had been. */

import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, vi } from 'vitest'
import {
  checkpoint,
  closeCheckpointPool,
  type Host,
  type Image,
  type Instance,
  openHost,
  type Sandbox,
  type Template,
} from '../../dist/core/index.js'

const USUAL_COPIES = 3
/** How many copies of one image a program is used as: more than these for a soak, in which a test has more time. */
export const COPIES = Number(process.env['THAW_COPIES'] ?? USUAL_COPIES)
/** How many of a program that takes seconds to check itself. */
const CHECKS = COPIES > USUAL_COPIES ? COPIES : 1
if (COPIES > USUAL_COPIES) vi.setConfig({ testTimeout: 60_000 + COPIES * 10_000 })

/** A folder that is gone at the end. */
export class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'thaw-programs-'))

  file(name: string): string {
    return join(this.path, name)
  }

  text(name: string): string {
    return existsSync(this.file(name)) ? readFileSync(this.file(name), 'utf8') : ''
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

/** One host for a file of tests. */
export function sharedHost(): () => Promise<Host> {
  let host: Promise<Host> | undefined
  afterAll(async () => {
    await (await host)?.[Symbol.asyncDispose]()
    await closeCheckpointPool()
  })
  return () => (host ??= openHost())
}

/** A program that has been checkpointed. */
export interface Restorable extends AsyncDisposable {
  readonly image: Image
  restore(): Promise<Running>
}

/** A program, the original or a copy. What it prints goes to `output` in its folder. */
export class Running implements AsyncDisposable {
  readonly pid: number
  readonly folder: Folder
  readonly #host: Host
  readonly #owner: Sandbox | Instance
  readonly #sandbox: Sandbox

  private constructor(host: Host, folder: Folder, pid: number, owner: Sandbox | Instance) {
    this.#host = host
    this.folder = folder
    this.pid = pid
    this.#owner = owner
    this.#sandbox = 'sandbox' in owner ? owner.sandbox : owner
  }

  static async start(host: Host, folder: Folder, command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Running> {
    const sandbox = await host.createSandbox({ network: 'new' })
    const options = { cwd: folder.path, env: { PATH: process.env['PATH'], HOME: folder.path, ...env } }
    const { pid } = await withStreams(folder, (stdio) => sandbox.start(command, args, { ...options, stdio }))
    return new Running(host, folder, pid, sandbox)
  }

  /** Checkpoints it, ends it, and brings it back when it has been away for a while. */
  async comeBack({ awayMs = 0 } = {}): Promise<Running> {
    return await this.#kept(async (template) => {
      await sleep(awayMs)
      return await this.#copyOf(template)
    })
  }

  /**
   * Checkpoints it and ends it; then each of many copies of that moment is put to use, and the last one is copied once more.
   *
   * @param use told how often this copy, and what it is a copy of, has been used since
   */
  async useCopies(use: (copy: Running, before: number) => Promise<void>, { awayMs = 0 } = {}): Promise<void> {
    await this.#kept(async (template) => {
      await sleep(awayMs)
      for (let i = 1; i <= COPIES; i++) {
        await using copy = await this.#copyOf(template)
        await use(copy, 0)
        if (i < COPIES) continue
        await untilIdle()
        await using again = await copy.comeBack({ awayMs })
        await use(again, 1)
      }
    })
  }

  /** The same for a program of the fixtures' protocol, which ends when it has checked itself: the last one is a copy of a copy. */
  async checkCopies(): Promise<void> {
    await this.#kept(async (template) => {
      for (let i = 1; i <= CHECKS; i++) {
        await using copy = await this.#copyOf(template)
        await using last = i < CHECKS ? undefined : await copy.comeBack()
        expect(await (last ?? copy).check(), `copy ${i}`).toEqual(['ok'])
      }
    })
  }

  async #kept<T>(use: (template: Template) => Promise<T>): Promise<T> {
    await using image = (await checkpoint({ belowInit: this.#sandbox.initPid }, { then: 'kill' })).image
    await this[Symbol.asyncDispose]()
    await using template = await image.load(this.#host, { network: 'new' })
    return await use(template)
  }

  async #copyOf(template: Template): Promise<Running> {
    const instance = await withStreams(this.folder, (stdio) => template.spawn({ stdio }))
    return new Running(this.#host, this.folder, instance.pid, instance)
  }

  /** Checkpoints it, ends it, and loads the image, to be restored from as often as wanted. */
  async become(): Promise<Restorable> {
    const { image } = await checkpoint(this.pid, { then: 'kill' })
    await this[Symbol.asyncDispose]()
    const template = await image.load(this.#host, { network: 'new' })
    return {
      restore: async () => {
        const instance = await withStreams(this.folder, (stdio) => template.spawn({ stdio }))
        return new Running(this.#host, this.folder, instance.pid, instance)
      },
      image,
      [Symbol.asyncDispose]: async () => {
        await template[Symbol.asyncDispose]()
        await image[Symbol.asyncDispose]()
      },
    }
  }

  async connect(port: number): Promise<Socket> {
    return new Socket({ fd: await this.#sandbox.connect(port) })
  }

  /** A GET whose connection the server closes, so that a checkpoint finds none. */
  async get(port: number, path: string): Promise<{ status: number; body: string }> {
    using socket = closing(await this.connect(port))
    socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`)
    const answer = Buffer.concat(await socket.toArray()).toString()
    const [head = '', body = ''] = answer.split('\r\n\r\n')
    return { status: Number(head.split(' ')[1]), body: /^transfer-encoding: chunked/im.test(head) ? unchunked(answer) : body }
  }

  async listens(port: number): Promise<void> {
    await expect
      .poll(
        () =>
          this.connect(port).then(
            (socket) => socket.destroy().destroyed,
            () => false,
          ),
        { interval: 10, timeout: 20_000 },
      )
      .toBe(true)
  }

  /** Has a program of the fixtures' protocol check itself: the lines of its report. */
  async check(): Promise<string[]> {
    writeFileSync(this.folder.file('trigger'), '')
    try {
      await expect.poll(() => this.folder.text('report'), { interval: 10, timeout: 20_000 }).toMatch(/\n$/)
    } catch (error) {
      throw new Error(`no report from pid ${this.pid}, whose threads are: ${threadsOf(this.pid)}`, { cause: error })
    }
    const report = this.folder.text('report').trim().split('\n')
    for (const name of ['trigger', 'report']) rmSync(this.folder.file(name))
    return report
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owner[Symbol.asyncDispose]()
  }
}

/** What the threads of a process do, for who has to find out why it does nothing. */
function threadsOf(pid: number): string {
  if (!existsSync(`/proc/${pid}/task`)) return 'gone'
  const describe = (tid: string): string =>
    ['comm', 'wchan', 'syscall'].map((name) => readFileSync(`/proc/${pid}/task/${tid}/${name}`, 'utf8').trim()).join(' ')
  return readdirSync(`/proc/${pid}/task`).map(describe).join('; ')
}

async function withStreams<T>(folder: Folder, use: (stdio: readonly [number, number, number]) => Promise<T>): Promise<T> {
  const [input, output] = [openSync('/dev/null', 'r'), openSync(folder.file('output'), 'a')]
  try {
    return await use([input, output, output])
  } finally {
    for (const fd of [input, output]) closeSync(fd)
  }
}

function closing(socket: Socket): Socket & Disposable {
  return Object.assign(socket, { [Symbol.dispose]: () => void socket.destroy() })
}

/** Short answers of Node's come in one chunk. */
const unchunked = (answer: string): string => answer.split('\r\n\r\n')[1]?.split('\r\n')[1] ?? ''

/** Waits for the fixtures' protocol to say that a program is set up. */
export async function untilReady(folder: Folder): Promise<void> {
  await expect.poll(() => folder.text('output'), { interval: 10, timeout: 20_000 }).toMatch(/^ready$/m)
}

/** Time in which connections that a client has closed are gone on the other side, too. */
export const untilIdle = (): Promise<void> => sleep(100)
