/** TCP connections with both ends in the tree. */
import { closeSync } from 'node:fs'
import { native } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import { defineKind, homeOf } from './description.js'
import type { DescriptionKind, SeenDescription, SeenProcess } from './description.js'
import { refusal } from './refusal.js'
import { printAddress } from './socket/address.js'
import { AF_INET, intBytes, IPPROTO_TCP } from './socket/option-table.js'
import { freshSocket } from './socket/options.js'
import type { SocketOption } from './socket/options.js'
import { socketOf } from './socket/seen-socket.js'
import { tcpInfo } from './socket/tcp-info.js'
import { openWithBuffers } from './tcp/buffers.js'
import type { TcpBuffers } from './tcp/buffers.js'
import { isPeerEnded, readEnd } from './tcp/end.js'
import type { TcpEnd } from './tcp/end.js'
import { collectBuffers, collectSetOptions } from './tcp/own-options.js'
import { settleEnd } from './tcp/pairs.js'
import { isConnected, peerInTree } from './tcp/peer.js'

export interface TcpConnection extends TcpEnd, TcpBuffers {
  family: number
  /** struct sockaddr, both. */
  address: Uint8Array
  peer: Uint8Array
  /** Shut down for reading, though the peer may still send. */
  deaf: boolean
  options: SocketOption[]
}

const SOCK_STREAM = 1
const TCP_REPAIR = 19
const TCP_ULP = 31
const ULP_NAME_BYTES = 16
const POLLPRI = 0x2
const POLLERR = 0x8
const POLLRDHUP = 0x2000

const nothing = { state: 0, sendFrom: 0, receiveFrom: 0, window: new Uint8Array(), largestSegment: 0, negotiated: 0 }
const unread: TcpEnd = { ...nothing, received: new Uint8Array(), unsent: new Uint8Array(), sendScale: 0, receiveScale: 0, timestamp: 0 }

export const tcpConnection: DescriptionKind<unknown> = defineKind<TcpConnection>({
  name: 'tcp_connection',

  recognises: (seen, tree) => isConnected(seen) && peerInTree(seen, tree) !== undefined,

  collect(seen, tree) {
    const peer = peerInTree(seen, tree)
    if (peer === undefined) throw new Error('a connection whose peer is gone')
    refuseSpecial(seen)
    const fd = seen.duplicate()
    const family = socketOf(seen)?.family ?? AF_INET
    const options = collectSetOptions(seen, family)
    if (!tree.frozen && !mayRepair(homeOf(seen), family)) refuseUnprivileged(seen)
    // A process that runs would notice that its socket is in repair mode.
    const end = tree.frozen ? readEnd(seen, peer) : unread
    const deaf = (native.poll(fd, POLLRDHUP, 0) & POLLRDHUP) !== 0 && !isPeerEnded(tcpInfo(seen).state)
    return {
      ...end,
      ...collectBuffers(seen),
      family,
      address: native.getsockname(fd),
      peer: native.getpeername(fd) ?? new Uint8Array(),
      deaf,
      options,
    }
  },

  open(connection, emitter) {
    const { family, peer } = connection
    if (!emitter.ownNetwork && !mayRepairHere(family))
      throw new UnsupportedError(
        'THAW_TCP_PRIVILEGE',
        `Cannot restore a TCP connection to ${printAddress(peer)}, within the fixture: in this network that takes CAP_NET_ADMIN. Run as root, or restore with a network of its own (--network new).`,
      )
    return openWithBuffers(emitter, family, connection)
  },

  connect: settleEnd,
})

function refuseSpecial(seen: SeenDescription): void {
  const fd = seen.duplicate()
  const events = native.poll(fd, POLLPRI, 0)
  if ((events & POLLPRI) !== 0)
    throw refusal(seen, 'THAW_TCP_URGENT', 'is a TCP connection with urgent data to read', 'Let it read that before the checkpoint.')
  if ((events & POLLERR) !== 0)
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

function refuseUnprivileged(seen: SeenDescription): never {
  throw refusal(
    seen,
    'THAW_TCP_PRIVILEGE',
    'is a TCP connection within the fixture, and to read it takes CAP_NET_ADMIN over its network',
    'Run as root, run the fixture in a network namespace of its own, or close the connection in the warm-up.',
  )
}

const mayRepair = ({ pid }: SeenProcess, family: number): boolean => tryRepair(freshSocket(pid, family, SOCK_STREAM, IPPROTO_TCP))
const mayRepairHere = (family: number): boolean => tryRepair(native.socket(family, SOCK_STREAM, IPPROTO_TCP))

/** On a socket that nobody else has. */
function tryRepair(fd: number): boolean {
  try {
    native.setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, intBytes(1))
    return true
  } catch {
    return false
  } finally {
    closeSync(fd)
  }
}
