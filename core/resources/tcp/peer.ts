/** Which connection of the tree another one's other end is. */
import { native } from '../../../native/index.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { printAddress } from '../socket/address.js'
import { AF_INET, AF_INET6, IPPROTO_MPTCP, IPPROTO_TCP, isTcpProtocol } from '../socket/option-table.js'
import { socketOf } from '../socket/seen-socket.js'
import type { SeenSocket } from '../socket/seen-socket.js'
import { TCP_CLOSE, TCP_LISTEN, tcpInfo } from '../socket/tcp-info.js'

const isInet = ({ family }: SeenSocket): boolean => family === AF_INET || family === AF_INET6

export function isTcp(seen: SeenDescription): boolean {
  const socket = socketOf(seen)
  return socket !== undefined && isInet(socket) && socket.protocol === IPPROTO_TCP
}

export function isMptcp(seen: SeenDescription): boolean {
  const socket = socketOf(seen)
  return socket !== undefined && isInet(socket) && socket.protocol === IPPROTO_MPTCP
}

/** Whether it listens for TCP connections, be it by MPTCP: what that accepts of a client without MPTCP are sockets of TCP. */
export function isTcpListener(seen: SeenDescription): boolean {
  const socket = socketOf(seen)
  return socket !== undefined && isInet(socket) && isTcpProtocol(socket.protocol) && socket.listening
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

/** Asked once: they are compared again and again. */
function namesOf(seen: SeenDescription): Names {
  const before = known.get(seen)
  if (before !== undefined) return before
  const peer = native.getpeername(seen.duplicate())
  const names = { local: printAddress(native.getsockname(seen.duplicate())), peer: peer === null ? undefined : printAddress(peer) }
  known.set(seen, names)
  return names
}

interface Index {
  /** How many descriptions of the tree are in it: what is in flight is found later. */
  seen: number
  readonly byNames: Map<string, SeenDescription>
}

const indexes = new WeakMap<SeenTree, Index>()

/** The connection of the tree with these names. */
export function connectionNamed(local: string, peer: string, tree: SeenTree): SeenDescription | undefined {
  const index = indexes.get(tree) ?? { seen: 0, byNames: new Map<string, SeenDescription>() }
  indexes.set(tree, index)
  for (const seen of tree.descriptions.slice(index.seen)) {
    index.seen++
    if (isTcp(seen) && isConnected(seen)) index.byNames.set(`${namesOf(seen).local} ${namesOf(seen).peer}`, seen)
  }
  return index.byNames.get(`${local} ${peer}`)
}

/** The other end, if it is in the tree. A socket that is connected to itself has none. */
export function peerInTree(seen: SeenDescription, tree: SeenTree): SeenDescription | undefined {
  const { local, peer } = namesOf(seen)
  if (peer === undefined || peer === local) return undefined
  return connectionNamed(peer, local, tree)
}
