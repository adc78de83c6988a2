/** Signals that wait in a frozen process: all its queues at one moment. */
import { collectProcessSignals, collectThreadSignals } from '../resources/pending-signals.js'
import type { PendingSignals } from '../resources/posix-timers.js'
import { timerThatSent } from '../resources/timer-signals.js'

export interface WaitingSignals {
  readonly process: Uint8Array[]
  /** The leader first. */
  readonly threads: readonly Uint8Array[][]
}

export const waitingSignals = (pid: number, tids: readonly number[]): WaitingSignals => ({
  process: collectProcessSignals(pid),
  threads: tids.map(collectThreadSignals),
})

/** As the leader sees them. */
export function pendingIn({ process, threads: [leader = [], ...others] }: WaitingSignals): PendingSignals {
  return { process, leader, others: others.flat() }
}

/** Timers run on in a frozen process: whether one has sent its signal in between. */
export function timersFired(before: WaitingSignals, after: WaitingSignals): boolean {
  const sentIn = ({ process, threads }: WaitingSignals): string[] =>
    [process, ...threads].flatMap((queue, i) =>
      queue.flatMap((info) => {
        const timer = timerThatSent(info)
        return timer === undefined ? [] : [`${i}: ${timer}`]
      }),
    )
  const known = new Set(sentIn(before))
  return sentIn(after).some((sent) => !known.has(sent))
}
