/** TCP connections with both ends in the tree, and those whose other end was closed. */
import { native } from '../../native/index.js'
import type { DescriptionModel } from '../image/model.js'
import { defineKind } from './description.js'
import type { DescriptionKind, SeenDescription, SeenTree } from './description.js'
import { refusal } from './refusal.js'
import { isWhole, printAddress } from './socket/address.js'
import { AF_INET, IPPROTO_TCP } from './socket/option-table.js'
import type { SocketOption } from './socket/options.js'
import { socketOf } from './socket/seen-socket.js'
import { isPeerEnded, tcpInfo } from './socket/tcp-info.js'
import { openWithBuffers } from './tcp/buffers.js'
import type { TcpBuffers } from './tcp/buffers.js'
import { readEnd, readOrphan } from './tcp/end.js'
import type { TcpEnd } from './tcp/end.js'
import { isOrphan } from './tcp/orphan.js'
import { collectBuffers, collectSetOptions, roomToSend } from './tcp/own-options.js'
import { settleEnd } from './tcp/pairs.js'
import { isConnected, peerInTree } from './tcp/peer.js'
import { refuseUnprivilegedReading, refuseUnprivilegedRestore } from './tcp/privilege.js'
import { refuseUrgent } from './tcp/urgent.js'

export interface TcpConnection extends TcpEnd, TcpBuffers {
  family: number
  /** struct sockaddr, both. */
  address: Uint8Array
  peer: Uint8Array
  /** Shut down for reading, though the peer may still send. */
  deaf: boolean
  /** The end that was closed; null: it is in the tree. */
  orphanedBy: TcpEnd | null
  options: SocketOption[]
}

const TCP_ULP = 31
const ULP_NAME_BYTES = 16
const POLLERR = 0x8
const POLLRDHUP = 0x2000

const nothing = { tcpState: 0, sendFrom: 0, receiveFrom: 0, window: new Uint8Array(), largestSegment: 0, negotiated: 0 }
const unread: TcpEnd = { ...nothing, received: new Uint8Array(), unsent: new Uint8Array(), sendScale: 0, receiveScale: 0, timestamp: 0 }

export const tcpConnection: DescriptionKind<unknown> = defineKind<TcpConnection>({
  name: 'tcp_connection',
  support: {
    topic: 'sockets',
    carried: 'TCP connections within the fixture with their data, also half-closed or left by their peer',
    conditions: [
      'TCP connections estimate round trips and congestion anew, and acknowledgements that were on their way have arrived. Urgent data that has not arrived yet comes as other data does. Outside a network of its own, restoring one takes CAP_NET_ADMIN.',
    ],
    refused: {
      THAW_TCP_PRIVILEGE: 'TCP connections within the fixture, without CAP_NET_ADMIN over its network',
      THAW_TCP_URGENT: 'TCP connections with urgent data to read, or with data around urgent data that was read',
      THAW_TCP_ERROR: 'TCP connections with an error to report, other than that they were reset',
      THAW_TCP_ULP: 'TCP connections with TLS or another protocol in the kernel',
      THAW_TCP_UNSETTLED: 'TCP connections whose ends do not agree',
    },
  },

  recognises: (seen, tree) => isConnected(seen) && (peerInTree(seen, tree) !== undefined || isOrphan(seen, tree)),

  collect(seen, tree) {
    refuseSpecial(seen)
    const fd = seen.duplicate()
    const family = socketOf(seen)?.family ?? AF_INET
    const options = collectSetOptions(seen, family)
    // What is in flight shows only once the tree stands still.
    if (!tree.frozen || seen.process.receiver !== undefined) refuseUnprivilegedReading(seen, family)
    // A process that runs would notice that its socket is in repair mode.
    const [end, orphanedBy] = tree.frozen ? read(seen, tree) : [unread, null]
    // It may have come while the socket was read.
    if (tree.frozen) refuseUrgent(seen)
    const deaf = (native.poll(fd, POLLRDHUP, 0) & POLLRDHUP) !== 0 && !isPeerEnded(tcpInfo(seen).state)
    return {
      ...end,
      orphanedBy,
      ...collectBuffers(seen),
      family,
      address: native.getsockname(fd),
      peer: native.getpeername(fd) ?? new Uint8Array(),
      deaf,
      options,
    }
  },

  verify({ address, peer, orphanedBy }, { descriptions }, require) {
    require([address, peer].every(isWhole), 'has an address that is cut short')
    // A socket that is connected to itself is none of a connection with two ends, and is not carried.
    require(printAddress(address) !== printAddress(peer), 'is a TCP connection that is its own other end')
    const [own, others] = [endsNamed(address, peer, descriptions), endsNamed(peer, address, descriptions)]
    require(own.length === 1, 'is a TCP connection that is there twice')
    if (orphanedBy !== null) return require(others.length === 0, 'is a TCP connection whose other end was closed, and is there')
    require(others.length === 1 && others[0]?.orphanedBy === null, 'is a TCP connection whose other end is not there')
  },

  open(connection, emitter) {
    const { family, peer } = connection
    refuseUnprivilegedRestore(emitter, family, peer)
    return openWithBuffers(emitter, family, { ...connection, sendBuffer: roomToSend(connection) })
  },

  connect: settleEnd,
})

const named = new WeakMap<readonly DescriptionModel[], ReadonlyMap<string, readonly TcpConnection[]>>()

/** Looked up in a list that is made once for all of an image. */
function endsNamed(address: Uint8Array, peer: Uint8Array, descriptions: readonly DescriptionModel[]): readonly TcpConnection[] {
  const nameOf = (one: Uint8Array, other: Uint8Array): string => `${printAddress(one)} ${printAddress(other)}`
  const byName = named.get(descriptions) ?? new Map<string, TcpConnection[]>()
  if (!named.has(descriptions))
    for (const { kind, payload } of descriptions) {
      const end = payload as TcpConnection
      if (kind !== 'tcp_connection' || !isWhole(end.address) || !isWhole(end.peer)) continue
      const name = nameOf(end.address, end.peer)
      ;(byName as Map<string, TcpConnection[]>).set(name, [...(byName.get(name) ?? []), end])
    }
  named.set(descriptions, byName)
  return byName.get(nameOf(address, peer)) ?? []
}

function read(seen: SeenDescription, tree: SeenTree): readonly [TcpEnd, TcpEnd | null] {
  const peer = peerInTree(seen, tree)
  return peer === undefined ? readOrphan(seen) : [readEnd(seen, peer), null]
}

function refuseSpecial(seen: SeenDescription): void {
  const fd = seen.duplicate()
  refuseUrgent(seen)
  if ((native.poll(fd, 0, 0) & POLLERR) !== 0)
    throw refusal(seen, 'THAW_TCP_ERROR', 'is a TCP connection with an error to report', 'Let it read that before the checkpoint.')
  if (upperProtocol(fd) !== '')
    throw refusal(
      seen,
      'THAW_TCP_ULP',
      `is a TCP connection with ${upperProtocol(fd)} in the kernel, which is not carried`,
      'Close it in the warm-up.',
    )
}

function upperProtocol(fd: number): string {
  try {
    return Buffer.from(native.getsockopt(fd, IPPROTO_TCP, TCP_ULP, ULP_NAME_BYTES))
      .toString('latin1')
      .replace(/\0.*/s, '')
  } catch {
    return ''
  }
}
