/** Reaching the servers in a sandbox, which has a network of its own. */
import { Socket } from 'node:net'
import type { Agent, buildConnector } from 'undici'
import { FixtureError } from '../errors.js'
import type { PlaceId } from '../protocol/messages.js'
import type { EngineClient } from './engine-client.js'
import { nodeFetch } from './node-fetch.js'

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])

export class Network {
  readonly #engine: EngineClient
  readonly #place: PlaceId
  readonly #sockets = new Set<Socket>()
  #agent: Promise<Agent> | undefined

  constructor(engine: EngineClient, place: PlaceId) {
    this.#engine = engine
    this.#place = place
  }

  /** A TCP connection to `port` on the sandbox's loopback, already established. */
  async connect(port: number): Promise<Socket> {
    const socket = new Socket({ fd: await this.#engine.connect(this.#place, port) })
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    return socket
  }

  /** Node's `fetch`, with connections into the sandbox. Paths may begin with a port, or with a slash if `defaultPort` is known. */
  async fetch(input: string | URL | Request, init?: RequestInit, defaultPort?: number): Promise<Response> {
    this.#agent ??= this.#makeAgent()
    const target = typeof input === 'string' ? address(input, defaultPort) : input
    const fetch = await nodeFetch()
    return fetch(target, { ...init, dispatcher: await this.#agent } as object)
  }

  /** Closes every connection. */
  async close(): Promise<void> {
    await (await this.#agent)?.destroy()
    for (const socket of this.#sockets) socket.destroy()
  }

  async #makeAgent(): Promise<Agent> {
    // The whole of undici takes three times as long to load, in every test file.
    const { default: UndiciAgent } = (await import('undici/lib/dispatcher/agent.js' as string)) as { default: typeof Agent }
    const connect: buildConnector.connector = (to, callback) => void this.#connectFor(to, callback)
    return new UndiciAgent({ connect })
  }

  async #connectFor({ protocol, hostname, port }: buildConnector.Options, callback: buildConnector.Callback): Promise<void> {
    let socket: Socket
    try {
      if (protocol !== 'http:' || !LOOPBACK.has(hostname)) {
        const message = `${protocol}//${hostname} is not in the sandbox: fetch reaches http://localhost there, and nothing else.`
        throw new FixtureError('THAW_OUTSIDE', message)
      }
      socket = await this.connect(Number(port || 80))
    } catch (error) {
      callback(error as Error, null)
      return
    }
    callback(null, socket)
  }
}

function address(input: string, defaultPort: number | undefined): string {
  if (/^:\d+/.test(input)) return `http://localhost${input}`
  if (input.startsWith('/') && defaultPort !== undefined) return `http://localhost:${defaultPort}${input}`
  if (URL.canParse(input)) return input
  throw new TypeError(`fetch('${input}'): say which port, as in fetch(':3000/path').`)
}
