/** The small native process that makes sandboxes (native/init/host.c). */
import { closeSync, openSync } from 'node:fs'
import { initProgramPath, native, type Message } from '../../native/index.js'
import { untilDead } from './death.js'
import { cannotMakeSandbox, hostGone, tooManyDescriptors } from './failures.js'
import { Sandbox } from './sandbox.js'
import * as wire from './wire.js'

const AF_UNIX = 1
const SOCK_SEQPACKET = 5
const HANDED_DESCRIPTORS = 3
const POLLIN = 1

const NAMESPACES = {
  new: wire.CLONE_NEWPID + wire.CLONE_NEWNS + wire.CLONE_NEWIPC + wire.CLONE_NEWUTS + wire.CLONE_NEWTIME,
  // What is only about time and network does nothing to pids; init is then an ordinary process, and dies alone.
  current: wire.CLONE_NEWTIME,
} as const

export interface SandboxOptions {
  /** `new`: a network of its own with nothing but loopback; `host`: the network of this process. */
  readonly network: 'new' | 'host'
  /** `new` (default): pids, mounts, ipc and host name of its own; `current`: those of this process. */
  readonly pidNamespace?: 'new' | 'current'
  /** What /dev/shm shows, in a mount namespace of its own: an empty memory file system (default), or the one of this process. */
  readonly shm?: 'own' | 'host'
}

/** Starts the host. It goes when it is disposed of, and when this process does. */
export function openHost(): Promise<Host> {
  const [ours, theirs] = native.socketpair(AF_UNIX, SOCK_SEQPACKET, 0)
  // A detached sandbox lives on with these: they must not be the caller's streams, for whose end somebody may wait.
  const nothing = openSync('/dev/null', 'r+')
  try {
    const { pid, pidfd } = native.spawnProcess(initProgramPath(), ['host'], [nothing, nothing, nothing, theirs])
    return Promise.resolve(new Host(ours, pid, pidfd))
  } catch (error) {
    closeSync(ours)
    return Promise.reject(error)
  } finally {
    closeSync(nothing)
    closeSync(theirs)
  }
}

export class Host implements AsyncDisposable {
  readonly pid: number
  readonly #pidfd: number
  readonly #socket: number
  readonly #sandboxes = new Set<Sandbox>()
  #disposal: Promise<void> | undefined

  constructor(socket: number, pid: number, pidfd: number) {
    this.#socket = socket
    this.pid = pid
    this.#pidfd = pidfd
  }

  /** Whether it was killed, or disposed of: it makes no more sandboxes then. */
  get isGone(): boolean {
    return this.#disposal !== undefined || native.poll(this.#pidfd, POLLIN, 0) !== 0
  }

  /** Blocks this thread for the half a millisecond or so that the host needs: less than a turn of the event loop may cost. */
  async createSandbox({ network, pidNamespace = 'new', shm = 'own' }: SandboxOptions): Promise<Sandbox> {
    if (this.#disposal !== undefined) throw hostGone()
    const ownNetwork = network === 'new'
    const flags = NAMESPACES[pidNamespace] + (ownNetwork ? wire.CLONE_NEWNET : 0)
    const { bytes, descriptors } = this.#ask(wire.encodeSandboxRequest(flags, shm === 'own'))
    const report = wire.decodeReport(bytes)
    if (report.kind !== 'sandbox') throw new Error(`thaw-init host answered with a report of kind ${report.kind}`)
    if (report.failure !== undefined) throw cannotMakeSandbox(report.failure)

    const [initPidfd, controlFd, timeOffsetsFd] = descriptors as [number, number, number]
    const parts = { initPid: report.pid, initPidfd, controlFd, timeOffsetsFd, ownNetwork }
    const sandbox: Sandbox = new Sandbox(parts, () => this.#sandboxes.delete(sandbox))
    this.#sandboxes.add(sandbox)
    return sandbox
  }

  /** Disposes of its sandboxes, too. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#dispose()
    return this.#disposal
  }

  async #dispose(): Promise<void> {
    await Promise.all([...this.#sandboxes].map((sandbox) => sandbox[Symbol.asyncDispose]()))
    closeSync(this.#socket)
    await untilDead(this.#pidfd)
    native.reap(this.pid)
    closeSync(this.#pidfd)
  }

  #ask(request: Uint8Array): Message {
    let answer: Message | null
    try {
      native.sendMessage(this.#socket, request, [])
      answer = native.receiveMessage(this.#socket, wire.REPORT_BYTES, HANDED_DESCRIPTORS)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // What recvmsg has no number for it cuts off, and init dies of it.
      if (code === 'EMSGSIZE') throw tooManyDescriptors()
      if (code === 'EPIPE' || code === 'ECONNRESET') throw hostGone()
      throw error
    }
    if (answer === null || answer.bytes.length === 0) throw hostGone()
    return answer
  }
}
