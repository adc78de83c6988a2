import { closeSync } from 'node:fs'
import { native } from '../../native/index.js'
import { killIfAlive } from './death.js'
import type { ExitStatus } from './exit-status.js'

/** Null when it has exited and was reaped, which may be as soon as it was started. */
function openIfAlive(pid: number | undefined): number | null {
  try {
    return pid === undefined ? null : native.pidfdOpen(pid)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return null
    throw error
  }
}

/** A command that was started in a sandbox. */
export class StartedProcess {
  /** As this process sees it; 0 when it had exited before it could be looked up. */
  readonly pid: number
  readonly innerPid: number
  readonly exited: Promise<ExitStatus>
  #pidfd: number | null

  constructor(pid: number | undefined, innerPid: number, exited: Promise<ExitStatus>) {
    this.#pidfd = openIfAlive(pid)
    this.pid = this.#pidfd === null ? 0 : (pid ?? 0)
    this.innerPid = innerPid
    this.exited = exited.finally(() => this.#close())
  }

  /** Does nothing once it has exited. */
  kill(signal: number): void {
    if (this.#pidfd !== null) killIfAlive(this.#pidfd, signal)
  }

  #close(): void {
    if (this.#pidfd !== null) closeSync(this.#pidfd)
    this.#pidfd = null
  }
}
