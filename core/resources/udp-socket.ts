/** UDP sockets: with their names, the multicast groups they have joined, and the datagrams they have not read. */
import { closeSync } from 'node:fs'
import { native } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import { defineKind } from './description.js'
import type { DescriptionKind, SeenDescription } from './description.js'
import { isUnbound, portOf } from './socket/address.js'
import { bindWithOptions, emitSocket } from './socket/emission.js'
import { isFilter } from './socket/filter.js'
import { collectGroups, emitGroups } from './socket/multicast.js'
import type { MulticastGroup } from './socket/multicast.js'
import { AF_INET, AF_INET6, IPPROTO_RAW, IPPROTO_UDP, SO_BUF_LOCK, SO_RCVBUF, SOCK_RAW, SOL_SOCKET } from './socket/option-table.js'
import { collectOptions, emitOptions } from './socket/options.js'
import type { SocketOption } from './socket/options.js'
import { socketOf } from './socket/seen-socket.js'
import { emitShutdown } from './socket/shutdown.js'
import { collectDatagrams } from './udp/datagrams.js'
import type { Datagram } from './udp/datagrams.js'
import { sendDatagrams } from './udp/send.js'
import { readShutdown } from './udp/shutdown.js'

export interface UdpSocket {
  family: number
  /** struct sockaddr; empty: not bound. */
  address: Uint8Array
  /** Empty: not connected. */
  peer: Uint8Array
  options: SocketOption[]
  groups: MulticastGroup[]
  queue: Datagram[]
  /** RCV_SHUTDOWN 1, SEND_SHUTDOWN 2. */
  shutdown: number
}

const SOCK_DGRAM = 2

export const udpSocket: DescriptionKind<unknown> = defineKind<UdpSocket>({
  name: 'udp_socket',
  support: {
    topic: 'sockets',
    carried: 'UDP sockets with their datagrams and multicast groups',
    conditions: [
      'An empty datagram that one checkpoint has seen in a queue is hidden from the next checkpoint of the same process (the kernel marks what was peeked at).',
      'That a UDP socket is shut down for writing only is not seen, and lost, where it has no port, and on kernels without CONFIG_INET_UDP_DIAG.',
      'An interface for multicast that was set by its number (IP_MULTICAST_IF with struct ip_mreqn) is not seen, and lost; its address is carried.',
      'Outside a network of its own, restoring unread datagrams takes CAP_NET_RAW.',
    ],
    refused: {
      THAW_UDP_QUEUE:
        'datagrams of a port shared with other sockets, sent to a multicast group, looked at before, or of which the socket asks how they came (IP_PKTINFO and the like)',
      THAW_UDP_PRIVILEGE: 'unread datagrams, without CAP_NET_RAW',
      THAW_UDP_ERROR: 'UDP sockets with an error to report',
      THAW_UDP_CORK: 'UDP sockets that hold back what they are to send',
      THAW_UDP_GROUPS: 'multicast groups of very many sources',
    },
  },

  recognises(seen) {
    const socket = socketOf(seen)
    return socket !== undefined && (socket.family === AF_INET || socket.family === AF_INET6) && socket.protocol === IPPROTO_UDP
  },

  collect(seen, tree) {
    const family = socketOf(seen)?.family ?? AF_INET
    const fd = seen.duplicate()
    const address = native.getsockname(fd)
    const options = collectOptions(seen, family, SOCK_DGRAM, IPPROTO_UDP)
    const shutdown = readShutdown(seen)
    const queue = collectDatagrams(seen, tree, options, shutdown)
    return {
      family,
      address: isUnbound(address) ? new Uint8Array() : address,
      peer: native.getpeername(fd) ?? new Uint8Array(),
      options: queue.length === 0 ? options : withRoom(seen, options),
      groups: collectGroups(seen),
      queue,
      shutdown: shutdown.mask,
    }
  },

  open({ family, address, peer, options, groups, queue, shutdown }, emitter) {
    const { program } = emitter
    if (queue.length > 0 && !emitter.ownNetwork) refuseUnprivileged(address)
    const fd = emitSocket(emitter, family, SOCK_DGRAM, IPPROTO_UDP)
    const first = queue.length === 0 ? options : options.filter((option) => !isFilter(option))
    if (address.length === 0) emitOptions(program, fd, first, 'all')
    else program.for(`UDP port ${portOf(address)}`, () => bindWithOptions(emitter, fd, first, address, () => undefined))
    emitGroups(program, fd, groups)
    sendDatagrams(emitter, fd, address, queue)
    if (queue.length > 0) emitOptions(program, fd, options, 'buffers')
    if (peer.length > 0) program.call('connect', [fd, program.bundle.bytes(peer), peer.length])
    emitShutdown(program, fd, shutdown)
    return fd
  },
})

/** The size of the receive buffer even where it is the usual one: it is larger while it is filled. */
function withRoom(seen: SeenDescription, options: readonly SocketOption[]): SocketOption[] {
  const sizes = [SO_RCVBUF, SO_BUF_LOCK]
  const others = options.filter(({ level, option }) => level !== SOL_SOCKET || !sizes.includes(option))
  const read = (option: number): SocketOption => ({
    level: SOL_SOCKET,
    option,
    value: native.getsockopt(seen.duplicate(), SOL_SOCKET, option, 4),
  })
  return [...others, ...sizes.map(read)]
}

/** @throws UnsupportedError where nobody may speak in another one's name */
function refuseUnprivileged(address: Uint8Array): void {
  try {
    closeSync(native.socket(AF_INET, SOCK_RAW, IPPROTO_RAW))
  } catch {
    throw new UnsupportedError(
      'THAW_UDP_PRIVILEGE',
      `Cannot restore the datagrams of UDP port ${portOf(address)}: in this network that takes CAP_NET_RAW. Run as root, or restore with a network of its own (--network new).`,
    )
  }
}
