/** TCP sockets that are not connected and do not listen, and UDP sockets without datagrams to read. */
import { native } from '../../native/index.js'
import { defineKind } from './description.js'
import type { DescriptionKind } from './description.js'
import { refusal } from './refusal.js'
import { isAnywhere, isUnbound, portOf, printAddress } from './socket/address.js'
import { bindWithOptions, emitSocket } from './socket/emission.js'
import { hasJoinedGroups } from './socket/multicast.js'
import { AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP } from './socket/option-table.js'
import { collectOptions, emitOptions } from './socket/options.js'
import type { SocketOption } from './socket/options.js'
import { socketOf } from './socket/seen-socket.js'
import type { SeenSocket } from './socket/seen-socket.js'

export interface InetSocket {
  family: number
  type: number
  protocol: number
  /** struct sockaddr; empty: not bound. */
  address: Uint8Array
  /** Of a UDP socket; empty: not connected. */
  peer: Uint8Array
  options: SocketOption[]
}

const POLLIN = 1

function isInet({ family, protocol }: SeenSocket): boolean {
  return (family === AF_INET || family === AF_INET6) && (protocol === IPPROTO_TCP || protocol === IPPROTO_UDP)
}

/** A socket with an address of the machine gets nothing that was sent to a group. */
const mayHaveJoined = (address: Uint8Array): boolean => isAnywhere(address) || /^(2[23]\d\.|\[ff)/.test(printAddress(address))

/** Asked after the kinds of TCP sockets that are connected, were connected, or listen. */
export const inetSocket: DescriptionKind<unknown> = defineKind<InetSocket>({
  name: 'inet_socket',

  recognises(seen) {
    const socket = socketOf(seen)
    return socket !== undefined && isInet(socket)
  },

  collect(seen) {
    const { family, type, protocol } = socketOf(seen) ?? { family: AF_INET, type: 0, protocol: 0 }
    const fd = seen.duplicate()
    const address = native.getsockname(fd)
    if (protocol === IPPROTO_UDP && (native.poll(fd, POLLIN, 0) & POLLIN) !== 0)
      throw refusal(
        seen,
        'THAW_UDP_QUEUE',
        `is a UDP socket on port ${portOf(address)} with datagrams that it has not read yet`,
        'Let it read them before the checkpoint.',
      )
    if (protocol === IPPROTO_UDP && portOf(address) !== 0 && mayHaveJoined(address) && hasJoinedGroups(seen))
      throw refusal(
        seen,
        'THAW_UDP_GROUPS',
        `is a UDP socket on port ${portOf(address)} that may be a member of multicast groups, which are not carried`,
        'Leave the groups before the checkpoint, or bind the socket to an address of the machine.',
      )
    const peer = (protocol === IPPROTO_UDP && native.getpeername(fd)) || new Uint8Array()
    const options = collectOptions(seen, family, type, protocol)
    return { family, type, protocol, address: isUnbound(address) ? new Uint8Array() : address, peer, options }
  },

  open({ family, type, protocol, address, peer, options }, emitter) {
    const { program } = emitter
    const fd = emitSocket(emitter, family, type, protocol)
    const name = `${protocol === IPPROTO_TCP ? 'TCP' : 'UDP'} port ${portOf(address)}`
    if (address.length === 0) emitOptions(program, fd, options, 'all')
    else program.for(name, () => bindWithOptions(emitter, fd, options, address, () => undefined))
    if (peer.length > 0) program.call('connect', [fd, program.bundle.bytes(peer), peer.length])
    return fd
  },
})
