/** What a ring has that the kernel shows nowhere: found out by calls that fail on it, or do nothing. */
import { native } from '../../../native/index.js'
import type { SystemError } from '../../../native/index.js'
import type { UnsupportedError } from '../../errors.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { refusal } from '../refusal.js'

const IORING_REGISTER_EVENTFD = 4

/**
 * A ring that has one thread only submit to it (IORING_SETUP_SINGLE_ISSUER) tells nobody else: its process is asked, by its first thread.
 *
 * @throws UnsupportedError
 */
export function refuseHidden(seen: SeenDescription, tree: SeenTree): void {
  const fd = seen.duplicate()
  if (errorOf('io_uring_enter', [fd, 0, 0, 0, 0, 0]) === 'EBADFD')
    throw refusal(
      seen,
      'THAW_IO_URING_DISABLED',
      'is an io_uring that was not enabled yet (IORING_SETUP_R_DISABLED)',
      'Enable it before the checkpoint, or close it.',
    )
  const error = errorOf('io_uring_register', registering(fd))
  refuseRegistered(seen, error)
  if (error !== 'EEXIST' || !tree.frozen) return
  tree.askInside(seen.process, (program) => {
    const answer = program.call('io_uring_register', registering(seen.fd), 'any')
    return (results) => {
      const told = native.errnoNames[-Number(BigInt.asIntN(64, results.cell(answer)))]
      refuseRegistered(seen, told)
      if (told === 'EEXIST') throw refusedIssuer(seen)
    }
  })
}

/** Without a descriptor to register: what is in the way is said first (io_eventfd_register() in io_uring/eventfd.c). */
const registering = (fd: number): number[] => [fd, IORING_REGISTER_EVENTFD, 0, 1]

const REGISTERED: Readonly<Record<string, string>> = {
  EBUSY: 'with a registered eventfd, which is not carried',
  EACCES: 'with restrictions, which are not carried',
}

function refuseRegistered(seen: SeenDescription, error: string | undefined): void {
  const what = REGISTERED[error ?? '']
  if (what === undefined) return
  const remedy = 'Unregister it before the checkpoint, or close the ring.'
  throw refusal(seen, 'THAW_IO_URING_REGISTERED', `is an io_uring ${what}`, remedy)
}

const refusedIssuer = (seen: SeenDescription): UnsupportedError =>
  refusal(
    seen,
    'THAW_IO_URING_ISSUER',
    'is an io_uring that one thread alone submits to, another one than the first, so that nobody else is told what is registered with it (IORING_SETUP_SINGLE_ISSUER)',
    'Make it in the first thread, or without that flag, or close it before the checkpoint.',
  )

function errorOf(call: string, args: readonly number[]): string | undefined {
  try {
    native.syscall(call, args)
    return undefined
  } catch (error) {
    return (error as SystemError).code
  }
}
