import { randomBytes } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { EngineError } from '../errors.js'
import { toWire } from '../protocol/errors.js'
import { readFrames, writeFrame } from '../protocol/frames.js'
import { type Edited, type EngineAt, type EngineWanted, PROTOCOL_VERSION, type Rendezvous } from '../protocol/messages.js'
import { EngineProcess } from './engine-process.js'

/**
 * The main process's part of a run: it listens for workers that need the engine, and starts it for the first of them.
 *
 * It, and no worker, has to be the engine's parent: workers come and go, and the engine must live exactly as long as Vitest.
 * The socket's name is abstract, so that there is no file that a killed Vitest would leave behind.
 */
export class Run {
  readonly rendezvous: Rendezvous
  readonly #server: Server
  #engine: Promise<EngineProcess> | undefined
  #mishaps: string[] = []
  #closing: Promise<void> | undefined

  static async open(): Promise<Run> {
    const address = `\0vitest-thaw-${process.pid}-${randomBytes(8).toString('hex')}`
    const server = createServer()
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(address, resolve)
    })
    server.unref()
    const token = randomBytes(16).toString('hex')
    return new Run(server, { version: PROTOCOL_VERSION, address, token })
  }

  private constructor(server: Server, rendezvous: Rendezvous) {
    this.#server = server
    this.rendezvous = rendezvous
    server.on('connection', (socket) => this.#meet(socket))
  }

  /** Called when tests start to run, again in watch mode. */
  async started(edited: Edited): Promise<void> {
    const engine = await this.#engine?.catch(() => undefined)
    await engine?.tellRunStarted(edited)
  }

  /** How engines of this run have ended that should not have; forgets it. */
  async takeMishaps(): Promise<readonly string[]> {
    const { end } = (await this.#engine?.catch(() => undefined)) ?? {}
    if (end) this.#engine = undefined
    return [...this.#mishaps.splice(0), ...(end ? [end] : [])]
  }

  get closed(): boolean {
    return this.#closing !== undefined
  }

  /** May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#server.close()
    const engine = await this.#engine?.catch(() => undefined)
    await engine?.stop()
  }

  #meet(socket: Socket): void {
    socket.unref()
    socket.on('error', () => socket.destroy())
    readFrames(socket, (message: EngineWanted) => {
      void this.#answer(message).then((answer) => writeFrame(socket.ref(), answer))
    })
  }

  async #answer(message: EngineWanted): Promise<EngineAt> {
    try {
      const { version, token } = this.rendezvous
      if (message.token !== token) throw new EngineError('THAW_REFUSED', 'This run belongs to somebody else.')
      if (message.version !== version) {
        throw new EngineError('THAW_VERSIONS', 'The Vitest config and the tests load different versions of vitest-thaw. Install one.')
      }
      return { type: 'engine-at', address: (await this.#liveEngine()).address }
    } catch (error) {
      return { type: 'failed', error: toWire(error) }
    }
  }

  /** The engine, started if there is none, or if it has been killed. Requests queue up behind each other: only one of them starts it. */
  #liveEngine(): Promise<EngineProcess> {
    this.#engine = this.#orNew(this.#engine)
    return this.#engine
  }

  async #orNew(current: Promise<EngineProcess> | undefined): Promise<EngineProcess> {
    const engine = await current?.catch(() => undefined)
    if (engine && engine.end === undefined) return engine
    if (engine?.end) this.#mishaps.push(engine.end)
    return EngineProcess.start(this.rendezvous.token)
  }
}
