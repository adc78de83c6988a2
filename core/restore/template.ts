/** The template: a process that holds the tree's memory, frozen, and forks an instance of it at each request. */
import { closeSync, openSync, writeSync } from 'node:fs'
import { initProgramPath, native } from '../../native/index.js'
import { RestoreError, UnsupportedError } from '../errors.js'
import type { ImageModel } from '../image/model.js'
import { verifyMachine } from '../image/machine.js'
import { exclusionOf } from '../resources/exclusion.js'
import type { Exclusion } from '../resources/exclusion.js'
import { verifyFile } from '../resources/file-identity.js'
import { requireUptime } from '../resources/posix-timers.js'
import type { Host } from '../sandbox/host.js'
import type { Sandbox } from '../sandbox/sandbox.js'
import { Adoption, requireChoiceOfPids, requireFreePids } from './adopted.js'
import { readFailure } from './failure.js'
import { Instance } from './instance.js'
import { namespacesFor } from './namespaces.js'
import { requireOpenFiles } from './open-files.js'
import { readOwn } from './own.js'
import { compile } from './plan.js'
import { SPAWN_DESCRIPTORS } from './planning.js'
import type { Plan } from './plan.js'
import { FAILURE_BYTES, REQUEST, REQUEST_BYTES } from './spawning.js'
import { StatusStream } from './status-stream.js'
import { SysvObjects } from './sysv-objects.js'

const AF_UNIX = 1
const SOCK_SEQPACKET = 5
const O_CLOEXEC = 0o2000000
const SIGKILL = 9
const GONE: readonly string[] = ['EPIPE', 'ECONNRESET']

export interface TemplateOptions {
  readonly network: 'new' | 'host'
  /**
   * `new` (default): pids as in the image, in a namespace of their own, which brings mount, ipc and uts namespaces along. `current`: in the
   * namespace of this process, if they are free; the instance then lives on when this process is killed, and its orphans are adopted by init.
   * Disposed of, it is killed as far as it is below its first process.
   */
  readonly pidNamespace?: 'new' | 'current'
}

export interface SpawnOptions {
  /** Standard input, output and error, for streams that led outside; stay the caller's. */
  readonly stdio: readonly [number, number, number]
  /** Park the instance on its gate until `open`. Default false. */
  readonly standby?: boolean
}

export class Template implements AsyncDisposable {
  readonly #plan: Plan
  readonly #host: Host
  readonly #image: ImageModel
  readonly #options: TemplateOptions
  readonly #pid: number
  readonly #pidfd: number
  readonly #control: number
  readonly #status: StatusStream
  #isDisposed = false

  private constructor(parts: {
    plan: Plan
    host: Host
    image: ImageModel
    options: TemplateOptions
    pid: number
    pidfd: number
    control: number
    status: number
  }) {
    this.#plan = parts.plan
    this.#host = parts.host
    this.#image = parts.image
    this.#options = parts.options
    this.#pid = parts.pid
    this.#pidfd = parts.pidfd
    this.#control = parts.control
    this.#status = new StatusStream(parts.status)
  }

  /**
   * Loads an image. @param pageFd stays the caller's
   * @throws ImageError for another kernel, processor or changed files; RestoreError
   */
  static async load(image: ImageModel, pageFd: number, host: Host, options: TemplateOptions): Promise<Template> {
    verifyMachine(image.machine)
    verifyFiles(image)
    const pidNamespace = options.pidNamespace ?? 'new'
    if (pidNamespace === 'current') {
      requireChoiceOfPids()
      requireFreePids(image)
      if (hasMemoryFiles(image)) throw ownShmHere()
    }
    requireOpenFiles(image)
    requireUptime(image)
    const plan = compile(image, { namespaces: namespacesFor(options), pidNamespace, own: readOwn() })
    const template = new Template({ plan, host, image, options, ...start(plan, pageFd) })
    try {
      await template.#loaded()
      return template
    } catch (error) {
      await template[Symbol.asyncDispose]()
      throw error
    }
  }

  async #loaded(): Promise<void> {
    const bytes = await this.#status.next(1)
    if (bytes.length === FAILURE_BYTES) throw readFailure(bytes, this.#plan.bundle, 'template')
    if (bytes.length !== 1) throw new RestoreError('THAW_TEMPLATE', 'Cannot restore: the template ended before it had loaded the image.')
  }

  get pid(): number {
    return this.#pid
  }

  /** How many instances there can be at a time. Another one fails, with THAW_FILE_LOCKED, THAW_NAME_TAKEN or THAW_PIPE_IN_USE. */
  get exclusion(): Exclusion {
    return exclusionOf(this.#image)
  }

  /** @throws RestoreError, with nothing left of the instance; THAW_TEMPLATE when there will never be another */
  async spawn(options: SpawnOptions): Promise<Instance> {
    const requested = performance.now()
    const isHere = this.#options.pidNamespace === 'current'
    const objects = isHere ? new SysvObjects(this.#image) : undefined
    const sandbox = await this.#host.createSandbox({ ...this.#options, shm: hasMemoryFiles(this.#image) ? 'own' : 'host' })
    const adoption = isHere ? new Adoption() : undefined
    let instance: Instance | undefined
    try {
      const streams = this.#request(sandbox, options.stdio, objects)
      instance = new Instance({
        sandbox,
        ...streams,
        image: this.#image,
        bundle: this.#plan.bundle,
        pidNamespace: this.#options.pidNamespace ?? 'new',
        requested,
        adoption,
        objects,
        whenRunning: () => this.#prepare(),
      })
      if (options.standby !== true) instance.letGo()
      await instance.parked()
      if (options.standby !== true) await instance.running()
      return instance
    } catch (error) {
      // What of it has come to be may have to be reaped.
      await (instance ?? sandbox)[Symbol.asyncDispose]()
      if (instance === undefined) await objects?.remove()
      adoption?.[Symbol.dispose]()
      throw error
    }
  }

  /** Sends the request with its descriptors, and closes ours of them: the end of file on the status stream must be the instance's. */
  #request(sandbox: Sandbox, [stdin, stdout, stderr]: SpawnOptions['stdio'], objects?: SysvObjects): { gate: number; status: number } {
    const time = native.open(`/proc/${sandbox.initPid}/ns/time_for_children`, O_CLOEXEC)
    const [gateRead, gate] = native.pipe(O_CLOEXEC)
    const [status, statusWrite] = native.pipe(O_CLOEXEC)
    const held = objects?.startRemover() ?? []
    try {
      const descriptors = { init: sandbox.initPidfd, time, gate: gateRead, status: statusWrite, stdin, stdout, stderr }
      this.#send(REQUEST.spawn, [...SPAWN_DESCRIPTORS.map((name) => descriptors[name]), ...held])
      return { gate, status }
    } catch (error) {
      for (const fd of [gate, status]) closeSync(fd)
      throw error
    } finally {
      for (const fd of [time, gateRead, statusWrite, ...held]) closeSync(fd)
    }
  }

  /** Has the next request find memory that is forked already. An instance may begin to run when the template is gone. */
  #prepare(): void {
    if (this.#isDisposed) return
    try {
      this.#send(REQUEST.prepare, [])
    } catch (error) {
      // The next request will say that the template is gone.
      if (!(error instanceof RestoreError)) throw error
    }
  }

  #send(kind: number, descriptors: readonly number[]): void {
    try {
      native.sendMessage(this.#control, new Uint8Array(REQUEST_BYTES).fill(kind, 0, 1), [...descriptors])
    } catch (error) {
      throw GONE.includes((error as NodeJS.ErrnoException).code ?? '') ? templateGone(this.#pid, error) : error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true
    closeSync(this.#control)
    this.#status.close()
    native.pidfdSendSignal(this.#pidfd, SIGKILL)
    while (native.reap(this.#pid) === null) await new Promise((resolve) => setImmediate(resolve))
    closeSync(this.#pidfd)
  }
}

const templateGone = (pid: number, cause: unknown): RestoreError =>
  new RestoreError(
    'THAW_TEMPLATE',
    `Cannot restore: the template (pid ${pid}), which keeps the memory for all copies, is gone. Somebody killed it, or the machine ran out of memory. Load the image anew.`,
    { pid, cause },
  )

const hasMemoryFiles = ({ memoryFiles }: ImageModel): boolean => memoryFiles.length > 0

const ownShmHere = (): UnsupportedError =>
  new UnsupportedError(
    'THAW_MEMORY_FILE',
    'Cannot restore into the current pid namespace: the tree was in a sandbox, with a /dev/shm of its own. Restore into a pid namespace of its own (--pid-namespace new).',
  )

function verifyFiles(image: ImageModel): void {
  for (const { memory } of image.processes) {
    verifyFile(memory.executable)
    const private_ = memory.mappings.filter(({ file, kind }) => file !== null && kind === 1)
    for (const { file } of new Map(private_.map((mapping) => [mapping.file?.path, mapping])).values()) if (file !== null) verifyFile(file)
  }
}

interface Started {
  readonly pid: number
  readonly pidfd: number
  readonly control: number
  readonly status: number
}

/** thaw-init template (native/init/template.c): descriptor 3 is its control socket, 4 the interpreter and bundle, 5 the page file, 6 its status stream. */
function start(plan: Plan, pageFd: number): Started {
  const image = plan.encode()
  const ours: number[] = []
  const theirs: number[] = []
  try {
    const [control, controlOfIts] = native.socketpair(AF_UNIX, SOCK_SEQPACKET, 0)
    ours.push(control)
    theirs.push(controlOfIts)
    const [status, statusOfIts] = native.pipe(O_CLOEXEC)
    ours.push(status)
    theirs.push(statusOfIts)
    const file = native.memfdCreate('thaw-restorer', 1)
    theirs.push(file)
    const nothing = openSync('/dev/null', 'r+')
    theirs.push(nothing)
    for (let at = 0; at < image.length;) at += writeSync(file, image, at)
    const args = ['template', plan.base.toString(16), String(image.length), String(plan.codeBytes)]
    const descriptors = [nothing, nothing, nothing, controlOfIts, file, pageFd, statusOfIts]
    return { control, status, ...native.spawnProcess(initProgramPath(), args, descriptors) }
  } catch (error) {
    for (const fd of ours) closeSync(fd)
    throw error
  } finally {
    for (const fd of theirs) closeSync(fd)
  }
}
