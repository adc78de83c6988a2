/** Which connection of the tree another one's other end is. */
import { native } from '../../../native/index.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { printAddress } from '../socket/address.js'
import { AF_INET, AF_INET6, IPPROTO_TCP } from '../socket/option-table.js'
import { socketOf } from '../socket/seen-socket.js'
import { TCP_CLOSE, TCP_LISTEN, tcpInfo } from '../socket/tcp-info.js'

export function isTcp(seen: SeenDescription): boolean {
  const socket = socketOf(seen)
  return socket !== undefined && (socket.family === AF_INET || socket.family === AF_INET6) && socket.protocol === IPPROTO_TCP
}

/** As printed, since IPv4 may show in an IPv6 address on one side. */
export function sameAddress(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a !== null && b !== null && printAddress(a) === printAddress(b)
}

export function isConnected(seen: SeenDescription): boolean {
  if (!isTcp(seen)) return false
  const { state } = tcpInfo(seen)
  return state !== TCP_LISTEN && state !== TCP_CLOSE
}

/** The other end, if it is in the tree. A socket that is connected to itself has none. */
export function peerInTree(seen: SeenDescription, tree: SeenTree): SeenDescription | undefined {
  const local = native.getsockname(seen.duplicate())
  const peer = native.getpeername(seen.duplicate())
  if (peer === null) return undefined
  return tree.descriptions.find(
    (other) =>
      other !== seen &&
      isConnected(other) &&
      sameAddress(native.getsockname(other.duplicate()), peer) &&
      sameAddress(native.getpeername(other.duplicate()), local),
  )
}
