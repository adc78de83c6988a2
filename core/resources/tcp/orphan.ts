/** Connections within the machine whose other end was closed: they have data to read, perhaps, and then the end. */
import { native } from '../../../native/index.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { hostOf, isLoopback } from '../socket/address.js'
import { intOf } from '../socket/option-table.js'
import { TCP_CLOSE_WAIT, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_TIME_WAIT, tcpInfo } from '../socket/tcp-info.js'
import { otherEnd } from '../socket/inet-diag.js'
import { isConnected, peerInTree } from './peer.js'

const SIOCOUTQ = 0x5411
/** The first while it waits to be told that its end has come. */
const leftBehind = new Set([TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_TIME_WAIT])

/** Whether the peer has sent all it had and its end, and is gone, but for what the kernel remembers of it for a while. */
export function isOrphan(seen: SeenDescription, tree: SeenTree): boolean {
  if (!isConnected(seen) || tcpInfo(seen).state !== TCP_CLOSE_WAIT || peerInTree(seen, tree) !== undefined) return false
  const local = native.getsockname(seen.duplicate())
  const peer = native.getpeername(seen.duplicate())
  if (peer === null || !(isLoopback(peer) || hostOf(peer) === hostOf(local)) || bytesToSend(seen) > 0) return false
  const end = otherEnd(seen, local, peer)
  return end === undefined || (end.inode === 0 && leftBehind.has(end.state))
}

function bytesToSend(seen: SeenDescription): number {
  const answer = new Uint8Array(4)
  native.ioctl(seen.duplicate(), SIOCOUTQ, answer)
  return intOf(answer)
}
