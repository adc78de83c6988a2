/** Listening TCP sockets, IPv4 and IPv6; also those of MPTCP (RFC 8684), whose connections are of TCP unless the client asks for more. */
import { native } from '../../native/index.js'
import { defineKind } from './description.js'
import type { DescriptionKind, SeenDescription } from './description.js'
import { portOf } from './socket/address.js'
import { bindWithOptions, emitSocket } from './socket/emission.js'
import { AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP } from './socket/option-table.js'
import { collectOptions } from './socket/options.js'
import type { SocketOption } from './socket/options.js'
import { socketInt, socketOf } from './socket/seen-socket.js'
import { tcpInfo } from './socket/tcp-info.js'
import { refuseBacklog } from './tcp/backlog.js'
import { refuseMptcp } from './tcp/mptcp.js'
import { isMptcp, isTcpListener } from './tcp/peer.js'

export interface TcpListener {
  family: number
  /** IPPROTO_TCP or IPPROTO_MPTCP. */
  protocol: number
  address: Uint8Array
  backlog: number
  options: SocketOption[]
}

const SOCK_STREAM = 1
const IP_FREEBIND = 15
const IPV6_V6ONLY = 26

export const tcpListener: DescriptionKind<unknown> = defineKind<TcpListener>({
  name: 'tcp_listener',
  support: { topic: 'sockets', carried: 'TCP listeners, also of MPTCP' },

  recognises: isTcpListener,

  collect(seen, tree) {
    const { family, protocol } = socketOf(seen) ?? { family: AF_INET, protocol: IPPROTO_TCP }
    if (isMptcp(seen)) refuseUntold(seen, family)
    const address = native.getsockname(seen.duplicate())
    const { backlog } = tcpInfo(seen)
    refuseBacklog(seen, tree)
    return { family, protocol, address, backlog, options: collectOptions(seen, family, SOCK_STREAM, protocol) }
  },

  open({ family, protocol, address, backlog, options }, emitter) {
    const { program } = emitter
    const fd = emitSocket(emitter, family, SOCK_STREAM, protocol)
    program.for(`TCP port ${portOf(address)}`, () =>
      bindWithOptions(emitter, fd, options, address, () => program.call('listen', [fd, backlog])),
    )
    return fd
  },
})

/** Older kernels do not give back options of an MPTCP socket that decide on what its name means. */
function refuseUntold(seen: SeenDescription, family: number): void {
  const [level, option] = family === AF_INET6 ? [IPPROTO_IPV6, IPV6_V6ONLY] : [IPPROTO_IP, IP_FREEBIND]
  try {
    socketInt(seen, level, option)
  } catch {
    refuseMptcp(seen, 'listens by MPTCP, of which this kernel does not tell all options')
  }
}
