/** A restored process in the foreground is meant by the signals that its `thaw restore` is sent. */
import { closeSync } from 'node:fs'
import { constants } from 'node:os'
import { native } from '../../native/index.js'
import { killIfAlive } from '../sandbox/death.js'

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const

/** Until disposed of. @param pid as this process sees it */
export function forwardSignals(pid: number): Disposable {
  const pidfd = native.pidfdOpen(pid)
  const forward = (signal: NodeJS.Signals): void => killIfAlive(pidfd, constants.signals[signal])
  for (const signal of FORWARDED) process.on(signal, forward)
  return {
    [Symbol.dispose](): void {
      for (const signal of FORWARDED) process.off(signal, forward)
      closeSync(pidfd)
    },
  }
}
