import { closeSync } from 'node:fs'
import type { Checkpoint, ExitStatus, Image, Sandbox, StartedProcess, Template } from '../../core/index.js'
import { checkpoint, closeCheckpointPool } from '../../core/index.js'
import { FixtureError } from '../errors.js'
import type { Calls } from '../protocol/messages.js'
import { before } from './deadline.js'
import type { Hosts } from './hosts.js'
import { allLeft, leaves } from './leaving.js'
import { openOutputPipes } from './output.js'
import { nextPlaceId } from './place.js'
import { Pool } from './pool.js'
import { connectionsClosed } from './quiet.js'

export type LaunchOutcome =
  { readonly type: 'warm'; readonly pool: Pool } | { readonly type: 'failed'; readonly error: Error } | { readonly type: 'abandoned' }

/** It takes a second for a gigabyte. */
const CHECKPOINT_TIMEOUT_MS = 120_000
const LOAD_TIMEOUT_MS = 120_000

/** Workers know processes by number; one worker may have run several warm-ups. */
let lastProcess = 0

type Command = Omit<Calls['start']['request'], 'place'>

/** The sandbox in which a warm-up runs: made when something is started in it, gone once it is in the snapshot. */
export class Launch {
  readonly kind = 'launch'
  readonly id: number = nextPlaceId()
  readonly #name: string
  readonly #hosts: Hosts
  readonly outcome: Promise<LaunchOutcome>
  #settle!: (outcome: LaunchOutcome) => void
  readonly #startedAt = performance.now()
  readonly #processes: StartedProcess[] = []
  /** Of the output of its processes. A worker that is killed while the snapshot is made would leave them with broken pipes, in every copy. */
  readonly #readers: number[] = []
  #sandbox: Promise<Sandbox> | undefined
  #phase: 'open' | 'finishing' | 'over' = 'open'

  constructor(name: string, hosts: Hosts) {
    this.#name = name
    this.#hosts = hosts
    this.outcome = new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  sandbox(): Promise<Sandbox> {
    this.#sandbox ??= this.#hosts.current().then((host) => host.createSandbox({ network: 'new' }))
    return this.#sandbox
  }

  async start(command: Command): Promise<{ number: number; exited: Promise<ExitStatus>; output: readonly number[] }> {
    const sandbox = await this.sandbox()
    await allLeft()
    const pipes = openOutputPipes()
    try {
      const { command: program, args, cwd, env } = command
      const process = await sandbox.start(program, args, { cwd, env, stdio: pipes.stdio })
      this.#processes.push(process)
      if (this.#phase === 'open') this.#readers.push(...pipes.openReaders())
      return { number: ++lastProcess, exited: process.exited, output: pipes.takeReaders() }
    } finally {
      pipes.close()
    }
  }

  /** The warm-up is done: makes the snapshot. Fails for everybody who waits when that fails. */
  async finish(value: string): Promise<Calls['warmed']['reply']> {
    this.#phase = 'finishing'
    const warmUpMs = performance.now() - this.#startedAt
    try {
      if (this.#processes.length === 0) {
        throw new FixtureError(
          'THAW_NOTHING_STARTED',
          `The warm-up of "${this.#name}" started nothing: there is nothing to restore. Use start().`,
        )
      }
      const { image, standstillMs, totalMs } = await this.#checkpoint()
      const loadedFrom = performance.now()
      const template = await this.#load(image)
      const loadMs = performance.now() - loadedFrom
      const pool = await Pool.open({ template, value, warmUpMs })
      this.#end({ type: 'warm', pool })
      return { checkpointMs: totalMs, standstillMs, loadMs }
    } catch (error) {
      this.#end({ type: 'failed', error: error as Error })
      throw error
    }
  }

  async #checkpoint(): Promise<Checkpoint> {
    const { initPid } = await this.sandbox()
    await connectionsClosed(initPid)
    const made = checkpoint({ belowInit: initPid }, { then: 'kill', tcp: 'refuse' })
    try {
      return await before(CHECKPOINT_TIMEOUT_MS, 'The checkpoint', made, ({ image }) => image[Symbol.asyncDispose]())
    } catch (error) {
      // Its thread is still at it, and the next checkpoint must not wait for that.
      if (error instanceof FixtureError && error.code === 'THAW_STUCK') void closeCheckpointPool().catch(() => {})
      throw error
    } finally {
      this.#closeReaders()
    }
  }

  /** The template has a copy of every page, or has failed: the image is not needed after that. */
  async #load(loaded: Image): Promise<Template> {
    await using image = loaded
    const template = image.load(await this.#hosts.current(), { network: 'new' })
    return await before(LOAD_TIMEOUT_MS, 'Loading the snapshot', template, (late) => late[Symbol.asyncDispose]())
  }

  fail(error: Error): void {
    this.#end({ type: 'failed', error })
  }

  /** The worker is gone. A snapshot that is being made needs no worker any more. */
  leave(): void {
    if (this.#phase === 'open') this.#end({ type: 'abandoned' })
  }

  #closeReaders(): void {
    for (const fd of this.#readers.splice(0)) closeSync(fd)
  }

  #end(outcome: LaunchOutcome): void {
    if (this.#phase === 'over') return
    this.#phase = 'over'
    this.#closeReaders()
    const gone = this.#sandbox?.then((sandbox) => sandbox[Symbol.asyncDispose]()).catch(() => {})
    // What is in a snapshot has ended already.
    if (gone !== undefined && outcome.type !== 'warm') leaves(gone)
    this.#settle(outcome)
  }
}
