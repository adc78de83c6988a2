/**
 * Urgent data (MSG_OOB in tcp(7)). Its byte can be read before its turn; the mark that it leaves stays in the queue until what stands before it is read, too.
 * Up to there a queue seems to reach, to SIOCINQ and MSG_PEEK alike (tcp_inq in include/net/tcp.h).
 */
import { native } from '../../../native/index.js'
import type { UnsupportedError } from '../../errors.js'
import type { SeenDescription } from '../description.js'
import { refusal } from '../refusal.js'
import { intOf } from '../socket/option-table.js'
import { isPeerEnded, tcpInfo } from '../socket/tcp-info.js'
import { endNamed } from '../socket/inet-diag.js'
import { bytesUnread } from './unread.js'

const POLLPRI = 0x2
const SIOCATMARK = 0x8905

/** @throws UnsupportedError THAW_TCP_URGENT */
export function refuseUrgent(seen: SeenDescription): void {
  if ((native.poll(seen.duplicate(), POLLPRI, 0) & POLLPRI) !== 0)
    throw refusal(seen, 'THAW_TCP_URGENT', 'is a TCP connection with urgent data to read', 'Let it read that before the checkpoint.')
  if (isAtMark(seen) || isMarkAhead(seen)) throw urgentMark(seen)
}

export const urgentMark = (seen: SeenDescription): UnsupportedError =>
  refusal(
    seen,
    'THAW_TCP_URGENT',
    'is a TCP connection with data to read around urgent data that it has read (MSG_OOB)',
    'Let it read what is there before the checkpoint.',
  )

function isAtMark(seen: SeenDescription): boolean {
  const answer = new Uint8Array(4)
  native.ioctl(seen.duplicate(), SIOCATMARK, answer)
  return intOf(answer) !== 0
}

/** Whether more has come than seems to be there. Of a connection that is over, sock_diag does not tell. */
function isMarkAhead(seen: SeenDescription): boolean {
  const before = look(seen)
  const peer = native.getpeername(seen.duplicate())
  if (before.unread === 0 || peer === null) return false
  const end = endNamed(seen, native.getsockname(seen.duplicate()), peer)
  const after = look(seen)
  // Where something has come or was read meanwhile, the numbers are of different moments.
  if (before.received !== after.received || before.unread !== after.unread || end?.inode !== Number(seen.status.inode)) return false
  return end.queuedBytes !== before.unread + (isPeerEnded(end.state) ? 1 : 0)
}

const look = (seen: SeenDescription): { readonly unread: number; readonly received: bigint } => ({
  unread: bytesUnread(seen),
  received: tcpInfo(seen).bytesReceived,
})
