/**
 * TCP connections that are over: what they have yet to report, as far as it can be seen without taking it from them. That there is an error shows (POLLERR), but
 * not which, and reading it takes it away.
 */
import { native } from '../../../native/index.js'
import type { SeenDescription } from '../description.js'
import { refusal } from '../refusal.js'
import { intBytes, IPPROTO_TCP } from '../socket/option-table.js'
import { tcpInfo } from '../socket/tcp-info.js'
import { bytesUnread } from './unread.js'
import { urgentMark } from './urgent.js'

const TCP_ZEROCOPY_RECEIVE = 35
/** struct tcp_zerocopy_receive up to `inq`: who asks for what follows takes the error. */
const QUESTION_BYTES = 20
const INQ = 16
const PAGE_BYTES = 4096
const PROT_READ = 1
const MAP_SHARED = 1

/**
 * A connection that was reset reports ECONNRESET or, behind its peer's end of the stream, EPIPE; so does the copy. One that was never made, or whose peer
 * has fallen silent, reports other errors.
 * @throws UnsupportedError THAW_TCP_ERROR
 */
export function refuseOtherError(seen: SeenDescription): void {
  const { options, bytesAcknowledged, unanswered } = tcpInfo(seen)
  const wasMade = options !== 0 || bytesAcknowledged > 0n
  if (wasMade && unanswered === 0) return
  const is = wasMade ? 'is a TCP connection that was given up' : 'is a TCP connection that could not be made'
  throw refusal(seen, 'THAW_TCP_ERROR', `${is}, which it has yet to report`, 'Let it read that error before the checkpoint.')
}

/** Whether the peer's end of the stream came before the connection was over: then that is what is read behind the data, and not the error. */
export function endsInOrder(seen: SeenDescription): boolean {
  const unread = bytesUnread(seen)
  const all = withPage(seen, unread, (address) => queued(seen, address))
  // More than the end.
  if (all !== undefined && all > unread + 1) throw urgentMark(seen)
  return all !== unread
}

/** Where a page or more waits, the kernel wants to be told where to map it. */
function withPage<T>(seen: SeenDescription, unread: number, use: (address: bigint) => T): T {
  if (unread < PAGE_BYTES) return use(0n)
  const address = native.syscall('mmap', [0, PAGE_BYTES, PROT_READ, MAP_SHARED, seen.duplicate(), 0])
  try {
    return use(address)
  } finally {
    native.syscall('munmap', [address, PAGE_BYTES])
  }
}

/**
 * What is in the queue, of which nothing is asked for; the end of the stream counts as a byte. Undefined where the kernel says at once that the end is there (EIO;
 * tcp_zerocopy_receive in net/ipv4/tcp.c).
 */
function queued(seen: SeenDescription, address: bigint): number | undefined {
  const question = new Uint8Array(QUESTION_BYTES)
  const view = new DataView(question.buffer)
  view.setBigUint64(0, address, true)
  try {
    native.syscall('getsockopt', [seen.duplicate(), IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, question, intBytes(QUESTION_BYTES)])
    return view.getUint32(INQ, true)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EIO') return undefined
    throw error
  }
}
