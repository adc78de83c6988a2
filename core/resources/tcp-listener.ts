/** Listening TCP sockets, IPv4 and IPv6. */
import { native } from '../../native/index.js'
import { defineKind } from './description.js'
import type { DescriptionKind } from './description.js'
import { portOf } from './socket/address.js'
import { bindWithOptions, emitSocket } from './socket/emission.js'
import { AF_INET, AF_INET6, IPPROTO_TCP } from './socket/option-table.js'
import { collectOptions } from './socket/options.js'
import type { SocketOption } from './socket/options.js'
import { socketOf } from './socket/seen-socket.js'
import { tcpInfo } from './socket/tcp-info.js'
import { refuseBacklog } from './tcp/backlog.js'

export interface TcpListener {
  family: number
  address: Uint8Array
  backlog: number
  options: SocketOption[]
}

const SOCK_STREAM = 1

export const tcpListener: DescriptionKind<unknown> = defineKind<TcpListener>({
  name: 'tcp_listener',
  support: { topic: 'sockets', carried: 'TCP listeners' },

  recognises(seen) {
    const socket = socketOf(seen)
    return (
      socket !== undefined &&
      (socket.family === AF_INET || socket.family === AF_INET6) &&
      socket.protocol === IPPROTO_TCP &&
      socket.listening
    )
  },

  collect(seen, tree) {
    const family = socketOf(seen)?.family ?? AF_INET
    const address = native.getsockname(seen.duplicate())
    const { backlog } = tcpInfo(seen)
    refuseBacklog(seen, tree)
    return { family, address, backlog, options: collectOptions(seen, family, SOCK_STREAM, IPPROTO_TCP) }
  },

  open({ family, address, backlog, options }, emitter) {
    const { program } = emitter
    const fd = emitSocket(emitter, family, SOCK_STREAM, IPPROTO_TCP)
    program.for(`TCP port ${portOf(address)}`, () =>
      bindWithOptions(emitter, fd, options, address, () => program.call('listen', [fd, backlog])),
    )
    return fd
  },
})
