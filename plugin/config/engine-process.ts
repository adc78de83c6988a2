import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { EngineError } from '../errors.js'
import { writeFrame } from '../protocol/frames.js'
import { type Edited, PROTOCOL_VERSION, type RunStarted } from '../protocol/messages.js'

const ENGINE_PROGRAM = fileURLToPath(new URL('../engine/main.js', import.meta.url))
/** Kept of what the engine says on stderr, for the message when it dies. */
const STDERR_CHARACTERS = 8192

/**
 * The engine, below `thaw-init supervise`. Its lifeline is a pipe of which this process holds the only writing end: when Vitest
 * ends, in whatever way, the kernel closes it, and supervise takes everything down. A process group of its own keeps Ctrl-C from it.
 */
export class EngineProcess {
  readonly address: string
  readonly #token: string
  readonly #lifeline: Socket
  readonly #hold: () => void
  readonly #exit: Promise<void>
  #end: string | undefined

  static async start(token: string): Promise<EngineProcess> {
    // Not before they are needed: a config is loaded in every run, and by editors.
    const [{ execa }, { initProgramPath }] = await Promise.all([import('execa'), import('../../native/index.js')])
    const name = `vitest-thaw-engine-${randomBytes(8).toString('hex')}`
    const supervisor = execa(initProgramPath(), ['supervise', '--', process.execPath, ENGINE_PROGRAM], {
      detached: true,
      // Execa would send a signal when this process ends. Supervise ignores signals, and has its lifeline.
      cleanup: false,
      reject: false,
      buffer: false,
      env: { THAW_ENGINE_NAME: name, THAW_ENGINE_TOKEN: token, NODE_OPTIONS: undefined },
      stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
    })
    const [lifeline, , stderr, ready] = supervisor.stdio as unknown as [Socket, undefined, Socket, Socket]
    const complaints = tail(stderr)
    const exit = supervisor.then((result) => {
      const how = result.originalMessage ?? (result.signal ? `killed by ${result.signal}` : `exit status ${result.exitCode}`)
      return `${how}${complaints() && `:\n${complaints()}`}`
    })
    const { nodeChildProcess: child } = supervisor
    const engine = new EngineProcess(`\0${name}`, token, lifeline, exit, () => child.ref())
    await Promise.race([
      new Promise((resolve) => ready.once('data', resolve)),
      exit.then((how) => {
        throw new EngineError(
          'THAW_ENGINE_START',
          `The engine that keeps snapshots did not start: ${how}\n\`npx thaw check\` says what this machine lacks.`,
        )
      }),
    ])
    // From here on, nothing of the engine keeps Vitest from ending: that is how the engine ends.
    child.unref()
    for (const stream of [lifeline, stderr, ready]) stream.unref()
    return engine
  }

  private constructor(address: string, token: string, lifeline: Socket, exit: Promise<string>, hold: () => void) {
    this.address = address
    this.#token = token
    this.#lifeline = lifeline
    this.#hold = hold
    this.#exit = this.#follow(exit)
    // The engine may be gone before us; that is no reason to fail.
    lifeline.on('error', () => {})
  }

  async #follow(exit: Promise<string>): Promise<void> {
    this.#end = await exit
  }

  /** How it ended, once it has. */
  get end(): string | undefined {
    return this.#end
  }

  /** Resolves when it knows, or has ended. */
  async tellRunStarted(edited: Edited): Promise<void> {
    if (this.#end !== undefined) return
    const socket = connect(this.address)
    socket.on('error', () => {})
    writeFrame(socket, { type: 'run-started', version: PROTOCOL_VERSION, token: this.#token, edited } satisfies RunStarted)
    // To be told of its end, one has to read.
    socket.resume()
    await new Promise((resolve) => socket.once('close', resolve))
  }

  /** Resolves when nothing of it is left. */
  async stop(): Promise<void> {
    this.#hold()
    this.#lifeline.destroy()
    await this.#exit
  }
}

function tail(stream: Readable): () => string {
  let text = ''
  stream.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-STDERR_CHARACTERS)
  })
  return () => text.trim()
}
