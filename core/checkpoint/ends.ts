/** Errors that say no more than that a process has ended. */
import { ThawError } from '../errors.js'
import type { SystemError } from '../../native/index.js'

const ENDS = ['THAW_NO_PROCESS', 'THAW_PROCESS_DIED']
export const isEnd = (error: unknown): boolean =>
  error instanceof ThawError ? ENDS.includes(error.code) : ['ESRCH', 'ENOENT'].includes((error as SystemError).code)
