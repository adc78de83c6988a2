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

interface Names {
  readonly local: string
  /** Undefined when not connected. */
  readonly peer: string | undefined
}

const known = new WeakMap<SeenDescription, Names>()

/** Asked once: a tree may have hundreds of connections, each of which is compared with each. */
function namesOf(seen: SeenDescription): Names {
  const before = known.get(seen)
  if (before !== undefined) return before
  const peer = native.getpeername(seen.duplicate())
  const names = { local: printAddress(native.getsockname(seen.duplicate())), peer: peer === null ? undefined : printAddress(peer) }
  known.set(seen, names)
  return names
}

/** The connection of the tree with these names. */
export function connectionNamed(local: string, peer: string, tree: SeenTree): SeenDescription | undefined {
  return tree.descriptions.find(
    (other) => isTcp(other) && namesOf(other).local === local && namesOf(other).peer === peer && isConnected(other),
  )
}

/** The other end, if it is in the tree. A socket that is connected to itself has none. */
export function peerInTree(seen: SeenDescription, tree: SeenTree): SeenDescription | undefined {
  const { local, peer } = namesOf(seen)
  if (peer === undefined || peer === local) return undefined
  return connectionNamed(peer, local, tree)
}
