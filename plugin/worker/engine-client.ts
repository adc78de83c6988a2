import { randomBytes } from 'node:crypto'
import { connect, Socket } from 'node:net'
import type { Native } from '../../native/index.js'
import { EngineError } from '../errors.js'
import { descriptorOf, receiveDescriptors } from '../protocol/descriptors.js'
import { fromWire } from '../protocol/errors.js'
import { readFrames, writeFrame } from '../protocol/frames.js'
import {
  type CallName,
  type Calls,
  type DescriptorsHere,
  type Hello,
  type PlaceId,
  PROTOCOL_VERSION,
  type Rendezvous,
  type Reply,
} from '../protocol/messages.js'
import { Limit } from './limit.js'
import { askForEngine } from './rendezvous.js'

const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000

/**
 * A unix socket takes some 270 messages with descriptors until they are read, which is when this thread comes to it. That has to do for
 * all copies of the worker, and for what else descriptors come with.
 */
const MAX_CONNECTS = 64

export type Exit = { readonly code: number | null; readonly signal: number | null }
type Answer<Name extends CallName> = Calls[Name]['reply'] & { readonly descriptors: readonly number[] }
interface Pending<Value = object> {
  resolve(value: Value): void
  reject(error: Error): void
}

/** A worker's line to the engine. It keeps the worker from ending only while it waits for an answer. */
export class EngineClient {
  readonly native: Native
  readonly #socket: Socket
  readonly #descriptors: Socket
  readonly #pending = new Map<number, Pending>()
  readonly #exits = new Map<number, Exit>()
  readonly #awaitedExits = new Map<number, Pending<Exit>>()
  readonly #connects = new Limit(MAX_CONNECTS)
  #lastId = 0
  #closed: Error | undefined

  static async open(rendezvous: Rendezvous): Promise<EngineClient> {
    const [address, { native }] = await Promise.all([askForEngine(rendezvous), import('../../native/index.js')])
    const opening = { version: PROTOCOL_VERSION, token: rendezvous.token, worker: randomBytes(8).toString('hex') }
    const descriptors = connectForDescriptors(native, address)
    // Before the conversation: the engine wants both when it says welcome.
    writeFrame(descriptors, { type: 'descriptors-here', ...opening } satisfies DescriptorsHere)
    const socket = connect(address)
    const client = new EngineClient(native, socket, descriptors)
    writeFrame(socket, { type: 'hello', ...opening } satisfies Hello)
    await client.#welcome
    endWithVitest()
    return client
  }

  readonly #welcome: Promise<void>
  #welcomed!: Pending

  private constructor(native: Native, socket: Socket, descriptors: Socket) {
    this.native = native
    this.#socket = socket
    this.#descriptors = descriptors
    this.#welcome = new Promise((resolve, reject) => {
      this.#welcomed = { resolve: () => resolve(), reject }
    })
    descriptors.unref().on('error', () => {})
    socket.on('error', () => {})
    socket.on('close', () => this.#close(gone()))
    readFrames(socket, (reply: Reply) => this.#read(reply))
  }

  get closed(): boolean {
    return this.#closed !== undefined
  }

  async call<Name extends CallName>(call: Name, body: Calls[Name]['request']): Promise<Answer<Name>> {
    if (this.#closed) throw this.#closed
    const id = ++this.#lastId
    const answer = new Promise<object>((resolve, reject) => this.#pending.set(id, { resolve, reject }))
    this.#socket.ref()
    writeFrame(this.#socket, { id, call, body })
    return (await answer) as Answer<Name>
  }

  /** Once what was written is on its way. The engine takes down what this worker has of it. */
  close(): void {
    this.#socket.end()
  }

  /** A TCP connection to a port of the place: a descriptor of the caller's. */
  async connect(place: PlaceId, port: number): Promise<number> {
    const { descriptors } = await this.#connects.run(() => this.call('connect', { place, port }))
    return descriptors[0] as number
  }

  /** How a process that this worker started has ended, when it has. Rejects when the engine has ended. */
  async exitOf(process: number): Promise<Exit> {
    const known = this.#exits.get(process)
    if (known) return known
    if (this.#closed) throw this.#closed
    return new Promise((resolve, reject) => this.#awaitedExits.set(process, { resolve, reject }))
  }

  #read(reply: Reply): void {
    switch (reply.type) {
      case 'welcome':
        this.#welcomed.resolve({})
        break
      case 'refused':
        this.#welcomed.reject(fromWire(reply.error))
        break
      case 'done': {
        const descriptors = reply.descriptors > 0 ? receiveDescriptors(this.native, this.#descriptors, reply.descriptors) : []
        this.#take(reply.id)?.resolve({ ...reply.body, descriptors })
        break
      }
      case 'failed':
        this.#take(reply.id)?.reject(fromWire(reply.error))
        break
      case 'exited':
        this.#exits.set(reply.process, reply)
        this.#awaitedExits.get(reply.process)?.resolve(reply)
        this.#awaitedExits.delete(reply.process)
    }
    if (this.#pending.size === 0) this.#socket.unref()
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    return pending
  }

  #close(error: Error): void {
    this.#closed = error
    this.#descriptors.destroy()
    this.#welcomed.reject(error)
    for (const waiting of [this.#pending, this.#awaitedExits]) {
      for (const { reject } of waiting.values()) reject(error)
      waiting.clear()
    }
  }
}

/** The connection on which descriptors come. Made by hand, and never read by Node: a read that is not `recvmsg` drops them. */
function connectForDescriptors(native: Native, address: string): Socket {
  const fd = native.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
  const socket = new Socket({ fd, readable: false, writable: true })
  const family = Buffer.alloc(2)
  family.writeUInt16LE(AF_UNIX)
  try {
    native.connectSocket(descriptorOf(socket), Buffer.concat([family, Buffer.from(address)]))
  } catch (error) {
    socket.destroy()
    throw gone(error)
  }
  return socket
}

const ENDS_WITH_VITEST: unique symbol = Symbol.for('vitest-thaw.ends-with-vitest')

/**
 * A fork whose Vitest has been killed would finish its test first: for nobody, and with a copy that is gone. Once for all lines of the
 * process, by a function of its own: one of ours would keep everything of the test file that it was made in.
 */
function endWithVitest(): void {
  const marked = process as typeof process & { [ENDS_WITH_VITEST]?: true }
  if (!process.connected || marked[ENDS_WITH_VITEST]) return
  marked[ENDS_WITH_VITEST] = true
  process.once('disconnect', process.kill.bind(process, process.pid, 'SIGKILL'))
}

function gone(cause?: unknown): EngineError {
  return new EngineError(
    'THAW_ENGINE_GONE',
    'The engine that keeps snapshots has ended, and every copy with it. Somebody killed it, or the machine ran out of memory.',
    { cause },
  )
}
