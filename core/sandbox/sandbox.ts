/** A set of namespaces with an init of ours, and what lives in it. */
import { closeSync, writeSync } from 'node:fs'
import { native } from '../../native/index.js'
import { planOf, type Command } from './command.js'
import { Control } from './control.js'
import { killIfAlive, untilDead } from './death.js'
import type { ExitStatus } from './exit-status.js'
import { cannotStart } from './failures.js'
import { SandboxNetwork } from './network.js'
import { findInnerPid } from './pids.js'
import { StartedProcess } from './started-process.js'
import type { Plan } from './wire.js'

const MFD_CLOEXEC = 1
const SIGKILL = 9

export interface StartOptions {
  /** Default: this process's. */
  readonly cwd?: string
  /** The whole environment. Default: this process's. */
  readonly env?: NodeJS.ProcessEnv
  /** Descriptors of this process, which stay open here. */
  readonly stdio: readonly [number, number, number]
}

/** What the host hands over; the descriptors belong to the sandbox from then on. */
export interface SandboxParts {
  readonly initPid: number
  readonly initPidfd: number
  readonly controlFd: number
  readonly timeOffsetsFd: number
  readonly ownNetwork: boolean
}

/** A memfd with the plan's strings. */
function planFile(plan: Plan): number {
  const fd = native.memfdCreate('thaw-plan', MFD_CLOEXEC)
  for (let at = 0; at < plan.strings.length;) at += writeSync(fd, plan.strings, at)
  return fd
}

/**
 * pid, mount (with its own /proc), ipc, uts, time and, if asked for, network namespaces. Everything in them dies when this is
 * disposed of, and when this process dies.
 */
export class Sandbox implements AsyncDisposable {
  /** As this process sees it. */
  readonly initPid: number
  readonly initPidfd: number
  /** Open for writing: /proc/PID/timens_offsets of the time namespace that init's children enter. Frozen as soon as there is one. */
  readonly timeOffsetsFd: number
  readonly #control: Control
  readonly #network: SandboxNetwork
  readonly #onClose: () => void
  #detached = false
  #disposal: Promise<void> | undefined

  /** @param onClose called when nothing of the sandbox is left to this process */
  constructor(parts: SandboxParts, onClose: () => void) {
    this.initPid = parts.initPid
    this.initPidfd = parts.initPidfd
    this.timeOffsetsFd = parts.timeOffsetsFd
    this.#control = new Control(parts.controlFd, parts.initPid)
    this.#network = new SandboxNetwork(parts.initPid, parts.ownNetwork)
    this.#onClose = onClose
  }

  /** Runs a command inside, in a session of its own. Rejects with a SandboxError when it cannot be executed. */
  async start(command: string, args: readonly string[], options: StartOptions): Promise<StartedProcess> {
    const { cwd = process.cwd(), env = process.env } = options
    const whole: Command = { command, args, directory: cwd, environment: env }
    const plan = planOf(whole)
    const planFd = planFile(plan)
    try {
      return await this.#control.start(plan, options.stdio, planFd, ({ innerPid, failure }) => {
        if (failure !== undefined) throw cannotStart(command, cwd, failure)
        return new StartedProcess(this.pidOf(innerPid), innerPid, this.exitOf(innerPid))
      })
    } finally {
      closeSync(planFd)
    }
  }

  /** The exit of any child of init: ask before the child can have exited. All are killed by signal 9 when the sandbox goes. */
  exitOf(innerPid: number): Promise<ExitStatus> {
    return this.#control.exitOf(innerPid)
  }

  /** The pid, as this process sees it, of the process that the sandbox sees as `innerPid`. */
  pidOf(innerPid: number): number | undefined {
    return findInnerPid(this.initPid, innerPid)
  }

  /** Makes the sandbox outlive this process: from now on it ends when its child `innerPid` does. Disposing then only lets go of it. */
  detach(innerPid: number): void {
    this.#control.detach(innerPid)
    this.#detached = true
  }

  /** A new socket in the sandbox's network namespace: a descriptor of the caller's. */
  socket(domain: number, type: number, protocol: number): number {
    return this.#network.socket(domain, type, protocol)
  }

  /** A connection to 127.0.0.1:port, or else to ::1, inside: a non-blocking descriptor of the caller's. Rejects with ECONNREFUSED and the like. */
  connect(port: number): Promise<number> {
    return this.#network.connect(port)
  }

  /** Resolves when every process of the sandbox is dead. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#dispose()
    return this.#disposal
  }

  async #dispose(): Promise<void> {
    // The sockets' namespace first: the kernel takes its time to clean one up, and begins when the last reference is gone.
    this.#network.close()
    closeSync(this.timeOffsetsFd)
    this.#control.close()
    if (!this.#detached) {
      killIfAlive(this.initPidfd, SIGKILL)
      await untilDead(this.initPidfd)
    }
    closeSync(this.initPidfd)
    this.#onClose()
  }
}
