/** Whether what was read can be restored: found out as long as the tree can run on, since afterwards there may be nothing else left of it. */
import { CheckpointError, ImageError, UnsupportedError } from '../errors.js'
import type { ImageModel } from '../image/model.js'
import { verifyStructure } from '../image/structure.js'
import { rehearse } from '../restore/rehearsal.js'
import type { Support } from '../resources/support.js'

export const support: Support = {
  topic: 'memory',
  refused: { THAW_TOO_LARGE: 'trees whose address spaces leave no room for the memory of all processes beside each other' },
}

/** @throws UnsupportedError THAW_TOO_LARGE; CheckpointError THAW_NOT_RESTORABLE */
export function requireRestorable(model: ImageModel, pageBytes: bigint): void {
  try {
    verifyStructure(model, pageBytes, 'what was collected')
    rehearse(model)
  } catch (cause) {
    if (!(cause instanceof ImageError)) throw cause
    const lacksRoom = cause.cause instanceof CheckpointError && cause.cause.code === 'THAW_NO_HOLE'
    throw lacksRoom ? tooLarge(cause) : notRestorable(cause)
  }
}

const tooLarge = (cause: ImageError): UnsupportedError =>
  new UnsupportedError(
    'THAW_TOO_LARGE',
    'Cannot checkpoint: a restore holds the memory of all processes beside each other, and their address spaces leave no room for that. Reserve less memory, or start fewer processes that do.',
    { cause },
  )

const notRestorable = (cause: ImageError): CheckpointError =>
  new CheckpointError(
    'THAW_NOT_RESTORABLE',
    `Cannot checkpoint: it could not be restored. ${cause.message} This is a fault of thaw; the tree is as it was.`,
    { cause },
  )
