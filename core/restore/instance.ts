/** An instance: a restored tree in a sandbox of its own, parked on its gate or running. */
import { closeSync, writeSync } from 'node:fs'
import { RestoreError } from '../errors.js'
import type { ImageModel } from '../image/model.js'
import type { Bundle } from '../program/bundle.js'
import { offsetsFor } from '../resources/clocks.js'
import type { ExitStatus } from '../sandbox/exit-status.js'
import type { Sandbox } from '../sandbox/sandbox.js'
import { Adoption, endOfChild, killChild, reapAdopted } from './adopted.js'
import { readFailure } from './failure.js'
import { FAILURE_BYTES } from './spawning.js'
import { StatusStream } from './status-stream.js'
import type { SysvObjects } from './sysv-objects.js'

export interface Timings {
  /** From the request until the first instruction ran, without the time that the instance stood by. */
  readonly restoreMs: number
  /** From the opening of the gate until the first instruction ran: what a test waits for when the instance stood by. */
  readonly openMs: number
}

/** Processes wait for each other while they come up. Should they ever wait for one that does not come, that has an end. */
const LIMIT_MS = 60_000

interface Parts {
  readonly sandbox: Sandbox
  readonly gate: number
  readonly status: number
  readonly image: ImageModel
  readonly bundle: Bundle
  readonly pidNamespace: 'new' | 'current'
  readonly requested: number
  /** In the pid namespace of this process: until it runs, or nothing is left of it. */
  readonly adoption: Adoption | undefined
  /** In the IPC namespace of this process, which those live in then, too. */
  readonly objects: SysvObjects | undefined
  /** Called once it runs, which is when others may have the processor. */
  readonly whenRunning: () => void
}

export class Instance implements AsyncDisposable {
  readonly sandbox: Sandbox
  /** Pid of the root as the tree itself sees it. */
  readonly innerPid: number
  readonly #parts: Parts
  readonly #status: StatusStream
  #parkedAt = 0
  #openedAt = 0
  #runningAt = 0
  #gateOpen = false
  #exited: Promise<ExitStatus> | undefined
  #detached = false
  #hasRun = false

  constructor(parts: Parts) {
    this.#parts = parts
    this.sandbox = parts.sandbox
    this.innerPid = parts.image.processes[0]?.pid ?? 0
    // Asked of init before it can have happened.
    if (parts.pidNamespace === 'new') this.#exited = parts.sandbox.exitOf(this.innerPid)
    this.#status = new StatusStream(parts.status)
  }

  get timings(): Timings {
    const openMs = this.#runningAt - Math.max(this.#openedAt, this.#parkedAt)
    return { restoreMs: this.#parkedAt - this.#parts.requested + openMs, openMs }
  }

  /** Of the root, as this process sees it. */
  get pid(): number {
    return this.#parts.pidNamespace === 'current' ? this.innerPid : (this.sandbox.pidOf(this.innerPid) ?? 0)
  }

  /** Of the root. */
  get exited(): Promise<ExitStatus> {
    this.#exited ??= endOfChild(this.innerPid)
    return this.#exited
  }

  /** Makes it outlive this process. Disposing then only lets go of it. */
  detach(): void {
    if (this.#parts.pidNamespace === 'new') this.sandbox.detach(this.innerPid)
    this.#detached = true
  }

  /** Resolves when everything up to the gate is done. @throws RestoreError */
  async parked(): Promise<void> {
    const bytes = await this.#status.next(1, LIMIT_MS)
    if (bytes.length !== 1) {
      this.#closeGate()
      throw this.#failure(bytes)
    }
    this.#parkedAt = performance.now()
  }

  /** Sets the clocks and opens the gate; resolves when the first instruction is about to run. @throws RestoreError */
  async open(): Promise<void> {
    this.letGo()
    await this.running()
  }

  /** The first half of `open`. Before the instance is parked, it spares it the stop; its clocks then run for the milliseconds that the rest takes. */
  letGo(): void {
    this.#openedAt = performance.now()
    writeSync(this.sandbox.timeOffsetsFd, offsetsFor(this.#parts.image.clocks))
    try {
      writeSync(this.#parts.gate, new Uint8Array(1))
    } catch (error) {
      // It has failed before it came to the gate; its status says how.
      if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
    }
    this.#closeGate()
  }

  /** The second half of `open`, once it has been parked. @throws RestoreError */
  async running(): Promise<void> {
    const bytes = await this.#status.next(FAILURE_BYTES, LIMIT_MS)
    this.#runningAt = performance.now()
    if (bytes.length > 0) throw this.#failure(bytes)
    this.#hasRun = true
    this.#parts.adoption?.[Symbol.dispose]()
    await this.#parts.objects?.keep()
    if (this.#parts.pidNamespace === 'current') reapAdopted(this.#parts.image, this.innerPid)
    this.#parts.whenRunning()
  }

  /** Parents first: their children become ours, so that we may kill them and hear of their ends. */
  async #killAll(): Promise<void> {
    using _adoption = new Adoption()
    const { processes, zombies } = this.#parts.image
    const tasks = [...processes, ...zombies]
    // Who has founded a group whose leader is gone waits, as that leader, for all that join it.
    for (const pid of new Set([...tasks.map(({ pid }) => pid), ...tasks.map(({ groupId }) => groupId)])) await killChild(pid)
  }

  #closeGate(): void {
    if (this.#gateOpen) return
    this.#gateOpen = true
    closeSync(this.#parts.gate)
  }

  #failure(bytes: Uint8Array): RestoreError {
    if (bytes.length === FAILURE_BYTES) return readFailure(bytes, this.#parts.bundle, 'instance')
    return new RestoreError('THAW_RESTORE', 'Cannot restore: the root process was killed before it ran.')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closeGate()
    this.#status.close()
    if (this.#parts.pidNamespace === 'current' && !this.#detached) await this.#killAll()
    if (!this.#hasRun) await this.#parts.objects?.remove()
    this.#parts.adoption?.[Symbol.dispose]()
    await this.sandbox[Symbol.asyncDispose]()
  }
}
