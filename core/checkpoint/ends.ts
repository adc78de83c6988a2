/** Errors that say no more than that something is gone by now. */
import { ThawError } from '../errors.js'
import type { SystemError } from '../../native/index.js'

const ENDS = ['THAW_NO_PROCESS', 'THAW_PROCESS_DIED']
/** A process. */
export const isEnd = (error: unknown): boolean =>
  error instanceof ThawError ? ENDS.includes(error.code) : ['ESRCH', 'ENOENT'].includes((error as SystemError).code)

/** An error of a call on what was closed, or has ended or executed another program, since it was listed. */
export const isOfWhatIsGone = (error: unknown): boolean =>
  !(error instanceof ThawError) && ['ENOENT', 'ESRCH', 'ECHILD', 'EBADF', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '')
