/** How a process ended: by `code`, or by `signal`, the other is null. */
export interface ExitStatus {
  readonly code: number | null
  readonly signal: number | null
}

const SIGNAL_MASK = 0x7f

/** From the status word of wait(2); bit 0x80 (a core was dumped) is left out. */
export function decodeWaitStatus(status: number): ExitStatus {
  const signal = status & SIGNAL_MASK
  return signal === 0 ? { code: (status >> 8) & 0xff, signal: null } : { code: null, signal }
}

/** What becomes of everything in a pid namespace whose init has exited (pid_namespaces(7)). */
export const killedWithNamespace: ExitStatus = { code: null, signal: 9 }
