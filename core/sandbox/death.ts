/** Waiting for a process that is not a child of this one. */
import { setTimeout as sleep } from 'node:timers/promises'
import { native } from '../../native/index.js'

const POLLIN = 1
const LONGEST_PAUSE_MS = 20

/**
 * Resolves when the process is dead: for the init of a pid namespace that is when everything in it is. Node cannot wait for a pidfd, so this
 * looks again and again; what dies here is not waited for by anyone in a hurry.
 */
export async function untilDead(pidfd: number): Promise<void> {
  for (let pauseMs = 1; native.poll(pidfd, POLLIN, 0) === 0; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) await sleep(pauseMs)
}

export function killIfAlive(pidfd: number, signal: number): void {
  try {
    native.pidfdSendSignal(pidfd, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
