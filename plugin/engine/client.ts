import { closeSync } from 'node:fs'
import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers'
import { native } from '../../native/index.js'
import { ThawError } from '../../core/index.js'
import { FixtureError } from '../errors.js'
import { sendDescriptors } from '../protocol/descriptors.js'
import { ReportedError, toWire, type WireError } from '../protocol/errors.js'
import { writeFrame } from '../protocol/frames.js'
import type { CallName, Calls, PlaceId, Reply, Request } from '../protocol/messages.js'
import type { Engine } from './engine.js'
import type { Launch } from './launch.js'
import type { Place } from './place.js'

/** The next test asks for its copy as soon as one is over. Taking the old one down can wait until it has it. */
const PAUSE_MS = 5

/** An answer, with descriptors that are closed here once the worker has them. */
interface Answer<Name extends CallName> {
  readonly body: Calls[Name]['reply']
  readonly descriptors?: readonly number[]
  /** The worker has not heard of it, and cannot give back what it was given. */
  readonly undo?: () => void
}
type Handlers = { [Name in CallName]: (request: Calls[Name]['request']) => Promise<Answer<Name>> }

/**
 * A worker, as the engine sees it. What it was given lasts as long as its connection: a worker that is killed, by
 * whatever, gives back its instances and its warm-up without a word.
 */
export class Client {
  readonly #socket: Socket
  readonly #descriptors: Socket
  readonly #engine: Engine
  readonly #places = new Map<PlaceId, Place>()
  readonly #gone = new AbortController()

  constructor(socket: Socket, descriptors: Socket, engine: Engine) {
    this.#socket = socket
    this.#descriptors = descriptors
    this.#engine = engine
    socket.on('close', () => this.#leave())
  }

  /** Aborted when the worker is gone. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  async handle({ id, call, body }: Request): Promise<void> {
    let answer: Answer<CallName>
    try {
      // The handler's request is the one of its own name: nothing that TypeScript could follow through the union.
      answer = await (this.#handlers[call] as (request: unknown) => Promise<Answer<CallName>>)(body)
    } catch (error) {
      this.#reply({ type: 'failed', id, error: forUsers(error) })
      return
    }
    const descriptors = answer.descriptors ?? []
    try {
      if (this.gone.aborted) return
      if (descriptors.length > 0) sendDescriptors(native, this.#descriptors, descriptors)
      this.#reply({ type: 'done', id, body: answer.body, descriptors: descriptors.length })
    } catch (error) {
      answer.undo?.()
      this.#reply({ type: 'failed', id, error: toWire(error) })
    } finally {
      for (const fd of descriptors) closeSync(fd)
    }
  }

  readonly #handlers: Handlers = {
    acquire: async ({ fixture }) => {
      const place = await this.#engine.acquire(fixture, this)
      if (this.gone.aborted) {
        place.leave()
        throw new FixtureError('THAW_WORKER_GONE', 'The worker is gone.')
      }
      this.#places.set(place.id, place)
      const undo = (): void => {
        this.#places.delete(place.id)
        place.leave()
      }
      return place.kind === 'launch'
        ? { body: { type: 'warm-up', place: place.id }, undo }
        : { body: place.description, descriptors: place.takeOutput(), undo }
    },

    start: async ({ place, ...command }) => {
      const { number, exited, output } = await this.#launch(place).start(command)
      void exited.then((status) => this.#reply({ type: 'exited', process: number, ...status }))
      return { body: { process: number }, descriptors: output }
    },

    connect: async ({ place, port }) => {
      const sandbox = await this.#place(place).sandbox()
      return { body: {}, descriptors: [await sandbox.connect(port)] }
    },

    warmed: async ({ place, value }) => {
      const body = await this.#launch(place).finish(value)
      this.#places.delete(place)
      return { body }
    },

    'warm-up-failed': async ({ place, error }) => {
      this.#launch(place).fail(new ReportedError(error))
      this.#places.delete(place)
      return { body: {} }
    },

    release: async ({ place }) => {
      const released = this.#place(place)
      this.#places.delete(place)
      if (released.kind === 'copy' && released.isExclusive) released.leave()
      else setTimeout(() => released.leave(), PAUSE_MS)
      return { body: {} }
    },
  }

  #place(id: PlaceId): Place {
    const place = this.#places.get(id)
    if (!place) throw new FixtureError('THAW_RELEASED', 'This copy of the fixture has been taken down: its test is over.')
    return place
  }

  #launch(id: PlaceId): Launch {
    const place = this.#place(id)
    if (place.kind === 'launch') return place
    throw new FixtureError('THAW_WARM_UP_OVER', 'The warm-up is over: its handles cannot start anything any more.')
  }

  #reply(reply: Reply): void {
    if (!this.gone.aborted) writeFrame(this.#socket, reply)
  }

  #leave(): void {
    this.#gone.abort()
    this.#descriptors.destroy()
    for (const place of this.#places.values()) place.leave()
    this.#places.clear()
  }
}

/** Where in the engine an error for users was made means nothing to them: the worker knows a better place. */
function forUsers(error: unknown): WireError {
  const { stack, ...wire } = toWire(error)
  return error instanceof ThawError || stack === undefined ? wire : { ...wire, stack }
}
