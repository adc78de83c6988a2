/** Exit statuses of the command line, the same for all commands. A restore in the foreground ends as the process that it restored. */
import { ThawError, UnsupportedError } from '../errors.js'

export const ExitCode = {
  done: 0,
  /** The operation failed, and nothing was changed. */
  failed: 1,
  usage: 2,
  /** This machine or this process cannot be supported. */
  unsupported: 3,
} as const

/** What they say is about the machine, whatever the family of the error. */
const ABOUT_THE_MACHINE: ReadonlySet<string> = new Set(['THAW_NO_NAMESPACES', 'THAW_PIDS_REFUSED', 'THAW_OTHER_KERNEL', 'THAW_OTHER_CPU'])

export function exitCodeFor(error: unknown): number {
  if (error instanceof UnsupportedError) return ExitCode.unsupported
  return error instanceof ThawError && ABOUT_THE_MACHINE.has(error.code) ? ExitCode.unsupported : ExitCode.failed
}
