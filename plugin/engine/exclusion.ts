import { ThawError } from '../../core/index.js'
import { FixtureError } from '../errors.js'

interface Held {
  readonly what: string
  /** What else a fixture can do. */
  readonly remedy: string
}

const held: Readonly<Record<string, Held>> = {
  THAW_FILE_LOCKED: { what: 'holds a lock on', remedy: 'release the lock in the warm-up' },
  THAW_NAME_TAKEN: {
    what: 'listens at',
    remedy: 'have it listen at an abstract name or on a TCP port, of which each copy has its own',
  },
  THAW_PIPE_IN_USE: { what: 'reads from', remedy: 'have the named pipe on /dev/shm, of which each copy has its own' },
}

/** Says what to do in tests about a copy in whose way another one is. */
export function explainExclusion(error: unknown): unknown {
  if (!(error instanceof ThawError) || error.path === undefined) return error
  const explanation = held[error.code]
  if (explanation === undefined) return error
  const { what, remedy } = explanation
  const message =
    `Another copy of the fixture, or whoever else, ${what} ${error.path}. There can be one at a time: use the fixture in one worker ` +
    `(maxWorkers: 1) and not in concurrent tests, or ${remedy}.`
  return new FixtureError(error.code, message, { cause: error })
}
