import { createServer, type Socket } from 'node:net'
import { EngineError } from '../errors.js'
import { toWire } from '../protocol/errors.js'
import { readFrames, writeFrame } from '../protocol/frames.js'
import { type EngineOpening, type Hello, PROTOCOL_VERSION, type Reply, type Request } from '../protocol/messages.js'
import { Client } from './client.js'
import type { Engine } from './engine.js'

/** Accepts workers, each with its two connections, and runs their requests. */
export async function listen(address: string, token: string, engine: Engine): Promise<void> {
  const arrivals = new Arrivals()
  const server = createServer((socket) => {
    let handle: (message: never) => void = (opening: EngineOpening) => {
      const refusal = refuse(opening, token)
      if (refusal) {
        writeFrame(socket, { type: 'refused', error: toWire(refusal) } satisfies Reply)
        socket.end()
        return
      }
      switch (opening.type) {
        case 'run-started':
          engine.runStarted(opening.edited)
          socket.end()
          return
        case 'descriptors-here':
          arrivals.here(opening.worker, socket)
          return
        case 'hello':
          void welcome(opening)
      }
    }
    const welcome = async ({ worker }: Hello): Promise<void> => {
      const client = new Client(socket, await arrivals.of(worker), engine)
      handle = (request: Request) => void client.handle(request)
      writeFrame(socket, { type: 'welcome' } satisfies Reply)
    }
    // A worker that is killed resets its connections; 'close' follows, and that is what counts.
    socket.on('error', () => {})
    readFrames(socket, (message: never) => handle(message))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(address, resolve)
  })
}

function refuse(opening: EngineOpening, token: string): EngineError | undefined {
  if (opening.token !== token) return new EngineError('THAW_REFUSED', 'This engine belongs to another run.')
  if (opening.version === PROTOCOL_VERSION) return undefined
  return new EngineError('THAW_VERSIONS', 'The Vitest config and the tests load different versions of vitest-thaw. Install one.')
}

/** The second connections of workers, which may be read before or after the first. */
class Arrivals {
  readonly #sockets = new Map<string, { readonly socket: Promise<Socket>; readonly arrive: (socket: Socket) => void }>()

  here(worker: string, socket: Socket): void {
    this.#entry(worker).arrive(socket)
    socket.on('close', () => this.#sockets.delete(worker))
  }

  of(worker: string): Promise<Socket> {
    return this.#entry(worker).socket
  }

  #entry(worker: string): { readonly socket: Promise<Socket>; readonly arrive: (socket: Socket) => void } {
    const known = this.#sockets.get(worker)
    if (known) return known
    let arrive: (socket: Socket) => void = () => {}
    const socket = new Promise<Socket>((resolve) => {
      arrive = resolve
    })
    const entry = { socket, arrive }
    this.#sockets.set(worker, entry)
    return entry
  }
}
