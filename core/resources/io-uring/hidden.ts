/** What a ring has that the kernel shows nowhere: found out by calls that fail on it, or do nothing. */
import { native } from '../../../native/index.js'
import type { SystemError } from '../../../native/index.js'
import type { SeenDescription } from '../description.js'
import { refusal } from '../refusal.js'

const IORING_REGISTER_EVENTFD = 4

/** @throws UnsupportedError */
export function refuseHidden(seen: SeenDescription): void {
  const fd = seen.duplicate()
  if (errorOf('io_uring_enter', [fd, 0, 0, 0, 0, 0]) === 'EBADFD')
    throw refusal(
      seen,
      'THAW_IO_URING_DISABLED',
      'is an io_uring that was not enabled yet (IORING_SETUP_R_DISABLED)',
      'Enable it before the checkpoint, or close it.',
    )
  // Without a descriptor to register: what is in the way is said first (io_eventfd_register() in io_uring/eventfd.c).
  const error = errorOf('io_uring_register', [fd, IORING_REGISTER_EVENTFD, 0, 1])
  if (error === 'EBUSY' || error === 'EACCES')
    throw refusal(
      seen,
      'THAW_IO_URING_REGISTERED',
      `is an io_uring with ${error === 'EBUSY' ? 'a registered eventfd' : 'restrictions'}, which ${error === 'EBUSY' ? 'is' : 'are'} not carried`,
      'Unregister it before the checkpoint, or close the ring.',
    )
}

function errorOf(call: string, args: readonly number[]): string | undefined {
  try {
    native.syscall(call, args)
    return undefined
  } catch (error) {
    return (error as SystemError).code
  }
}
