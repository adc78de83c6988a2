import { availableParallelism } from 'node:os'
import { setImmediate } from 'node:timers'
import type { Exclusion, Instance, Template } from '../../core/index.js'
import type { Client } from './client.js'
import { Copy } from './copy.js'
import { before } from './deadline.js'
import { explainExclusion } from './exclusion.js'
import { allLeft, leaves } from './leaving.js'
import { openOutputPipes, type OutputPipes } from './output.js'

/** Copies that are being taken down at once, at most: beyond that, new ones wait, so that a fast suite cannot pile them up. */
const MAX_TAKING_DOWN = 8
/** It takes milliseconds. */
const RESTORE_TIMEOUT_MS = 60_000

interface Standby {
  readonly instance: Instance
  readonly output: OutputPipes
}

export interface Snapshot {
  readonly template: Template
  /** What the warm-up returned, serialized. */
  readonly value: string
  readonly warmUpMs: number
}

/**
 * Copies of one snapshot, made ahead: one stands by for each worker that uses the fixture, restored and parked on its gate,
 * so that all that a test waits for is that the gate opens. Copies that exclude each other come one after the other: the next when those that
 * were given back are gone.
 */
export class Pool {
  readonly #snapshot: Snapshot
  readonly #exclusion: Exclusion
  readonly #standby: Promise<Standby>[] = []
  readonly #users = new Set<Client>()
  readonly #takingDown = new Set<Promise<void>>()
  #closed = false

  /**
   * Resolves when the first copy stands by: so a snapshot that cannot be restored is found before it is used, and nothing is left of it.
   *
   * @param snapshot belongs to the pool from now on
   */
  static async open(snapshot: Snapshot): Promise<Pool> {
    const pool = new Pool(snapshot)
    try {
      pool.#makeAhead()
      await pool.#standby[0]
      return pool
    } catch (error) {
      await pool.dispose()
      throw error
    }
  }

  private constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot
    this.#exclusion = snapshot.template.exclusion
  }

  /** @param warmingMs how long it has waited for the warm-up of somebody else */
  async take(client: Client, warmingMs: number): Promise<Copy> {
    try {
      return await this.#take(client, warmingMs)
    } catch (error) {
      throw this.#exclusion === 'none' ? error : explainExclusion(error)
    }
  }

  async #take(client: Client, warmingMs: number): Promise<Copy> {
    this.#countIn(client)
    const { instance, output } = await before(RESTORE_TIMEOUT_MS, 'Restoring a copy', this.#next(), (late) => this.#discard(late))
    try {
      await before(RESTORE_TIMEOUT_MS, 'Letting a copy run', this.#open(instance))
    } catch (error) {
      this.#discard({ instance, output })
      throw error
    } finally {
      // Not before the answer is on its way: the next copy would take the processor from the test that waits for this one.
      setImmediate(() => this.#refill())
    }
    const { value, warmUpMs } = this.#snapshot
    const origin = { value, warmUpMs, warmingMs }
    return new Copy(instance, output, origin, { isExclusive: this.#exclusion !== 'none', takeDown: () => this.#takeDown(instance) })
  }

  async dispose(): Promise<void> {
    this.#closed = true
    for (const standby of await Promise.allSettled(this.#standby.splice(0))) {
      if (standby.status === 'rejected') continue
      this.#discard(standby.value)
    }
    await this.#snapshot.template[Symbol.asyncDispose]()
  }

  async #next(): Promise<Standby> {
    try {
      const standby = await this.#standby.shift()
      if (standby) return standby
    } catch {
      // It was made ahead, and for what it has failed may have passed. If it has not, that shows again.
    }
    return this.#build()
  }

  #countIn(client: Client): void {
    if (this.#users.has(client)) return
    this.#users.add(client)
    client.gone.addEventListener('abort', () => this.#users.delete(client), { once: true })
  }

  async #open(instance: Instance): Promise<void> {
    if (this.#exclusion !== 'none') await allLeft()
    await instance.open()
  }

  #refill(): void {
    // It could not come up beside the one that was taken, and would be in the way of other fixtures' after that.
    if (this.#exclusion === 'existing') return
    const wanted = Math.min(Math.max(1, this.#users.size), availableParallelism())
    while (!this.#closed && this.#standby.length < wanted) this.#makeAhead()
  }

  #makeAhead(): void {
    const standby = this.#build()
    // Whoever takes it has another one made. Until then the failure is nobody's.
    standby.catch(ignore)
    this.#standby.push(standby)
  }

  async #build(): Promise<Standby> {
    while (this.#takingDown.size >= MAX_TAKING_DOWN) await Promise.race(this.#takingDown)
    if (this.#exclusion === 'existing') await allLeft()
    const output = openOutputPipes()
    try {
      const instance = await this.#snapshot.template.spawn({ stdio: output.stdio, standby: true })
      output.closeWriters()
      return { instance, output }
    } catch (error) {
      output.close()
      throw error
    }
  }

  #discard({ instance, output }: Standby): void {
    output.close()
    this.#takeDown(instance)
  }

  #takeDown(instance: Instance): void {
    const gone = Promise.resolve(instance[Symbol.asyncDispose]())
      .catch(ignore)
      .finally(() => this.#takingDown.delete(gone))
    this.#takingDown.add(gone)
    if (this.#exclusion !== 'none') leaves(gone)
  }
}

const ignore = (): void => {}
