/** What fdinfo tells of a ring (io_uring/fdinfo.c), and whether it stands still. */
import { readFdInfo } from '../../proc/fdinfo.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { refusal } from '../refusal.js'
import { refuseHidden } from './hidden.js'

export interface RingState {
  readonly sqEntries: number
  readonly cqEntries: number
  /** Requests that were taken from the submission ring, ever; as many have completed. */
  readonly count: number
  /** Neither unsubmitted requests nor unread completions. */
  readonly empty: boolean
}

const DRAIN = 'Let the requests complete before the checkpoint, or close the ring.'
const TRIES = 5

export function ringState(seen: SeenDescription, tree: SeenTree): RingState {
  refuseExtras(seen, seen.info.lines)
  refuseHidden(seen, tree)
  // While the process runs, the numbers of one look need not fit each other.
  for (let left = tree.frozen ? 1 : TRIES; ; left--) {
    const state = parse(readFdInfo(seen.process.pid, seen.fd).lines)
    if (state.taken === state.completed) return { ...state, count: state.taken }
    if (left === 1)
      throw refusal(seen, 'THAW_IO_URING_BUSY', `is an io_uring with ${(state.taken - state.completed) >>> 0} requests in flight`, DRAIN)
  }
}

function parse(lines: readonly string[]): Omit<RingState, 'count'> & { taken: number; completed: number } {
  const number = (name: string): number => Number(valueOf(lines, name) ?? 0)
  const taken = number('CachedSqHead')
  const completed = number('CachedCqTail')
  return {
    sqEntries: number('SqMask') + 1,
    cqEntries: number('CqMask') + 1,
    taken,
    completed,
    empty: number('SqTail') === taken && number('CqHead') === completed,
  }
}

const valueOf = (lines: readonly string[], name: string): string | undefined =>
  lines
    .find((line) => line.startsWith(`${name}:`))
    ?.slice(name.length + 1)
    .trim()

function refuseExtras(seen: SeenDescription, lines: readonly string[]): void {
  const refuse = (code: string, is: string, advice: string): never => {
    throw refusal(seen, code, `is an io_uring ${is}`, advice)
  }
  if ((valueOf(lines, 'SqThread') ?? '-1') !== '-1')
    refuse(
      'THAW_IO_URING_SQPOLL',
      'with a thread of the kernel that polls it (IORING_SETUP_SQPOLL)',
      'Start the process without it; for Node, without UV_USE_IO_URING=1.',
    )
  for (const name of ['UserFiles', 'UserBufs'])
    if ((valueOf(lines, name) ?? '0') !== '0')
      refuse(
        'THAW_IO_URING_REGISTERED',
        'with registered files or buffers, which are not carried',
        'Unregister them before the checkpoint.',
      )
  if (lines.some((line) => line.startsWith('Personalities:')))
    refuse('THAW_IO_URING_REGISTERED', 'with registered credentials, which are not carried', 'Unregister them before the checkpoint.')
  if (valueOf(lines, 'NAPI')?.startsWith('enabled'))
    refuse('THAW_IO_URING_REGISTERED', 'with busy polling, which is not carried', 'Unregister it before the checkpoint.')
  for (const list of ['PollList:', 'CqOverflowList:']) {
    const at = lines.indexOf(list)
    if (at >= 0 && /^\s/.test(lines[at + 1] ?? '')) refuse('THAW_IO_URING_BUSY', 'with requests in flight', DRAIN)
  }
}
