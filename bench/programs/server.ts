/** A program that answers HTTP on a port. */
import { setTimeout as sleep } from 'node:timers/promises'
import { fetchFrom } from './http.ts'
import type { Command, Connect, Place, Program } from './program.ts'

const POLL_MS = 2
const READY_TIMEOUT_MS = 30_000

export interface ServerOptions {
  readonly name: string
  readonly repeats: number
  readonly command: (place: Place) => Command
  /** A path that is answered with 200. */
  readonly path: string
  readonly warmUp: readonly { readonly method: string; readonly path: string }[]
  /** Where it cannot choose; otherwise that of its place. */
  readonly port?: number
}

export class Server implements Program {
  readonly name: string
  readonly repeats: number
  readonly command: (place: Place) => Command
  readonly #options: ServerOptions

  constructor(options: ServerOptions) {
    this.name = options.name
    this.repeats = options.repeats
    this.command = options.command
    this.#options = options
  }

  async ready(connect: Connect, place: Place): Promise<void> {
    for (const giveUpAt = performance.now() + READY_TIMEOUT_MS; ; await sleep(POLL_MS)) {
      try {
        return await this.use(connect, place)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED' || performance.now() > giveUpAt) throw error
      }
    }
  }

  async warmUp(connect: Connect, place: Place): Promise<void> {
    for (const { method, path } of this.#options.warmUp) await fetchFrom(connect, this.#portIn(place), path, method)
  }

  async use(connect: Connect, place: Place): Promise<void> {
    await this.get(connect, place, this.#options.path)
  }

  protected async get(connect: Connect, place: Place, path: string): Promise<string> {
    const { status, body } = await fetchFrom(connect, this.#portIn(place), path)
    if (status !== 200) throw new Error(`${this.name} answered with ${status}`)
    return body
  }

  #portIn({ port }: Place): number {
    return this.#options.port ?? port
  }

  verify(connect: Connect, place: Place): Promise<void> {
    return this.use(connect, place)
  }
}
