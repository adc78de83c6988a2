/** TCP sockets that are not connected and do not listen. Those of MPTCP that do not listen are refused, whatever they are. */
import { native } from '../../native/index.js'
import { defineKind } from './description.js'
import type { DescriptionKind } from './description.js'
import { isUnbound, portOf } from './socket/address.js'
import { bindWithOptions, emitSocket } from './socket/emission.js'
import { AF_INET, IPPROTO_TCP } from './socket/option-table.js'
import { collectOptions, emitOptions } from './socket/options.js'
import type { SocketOption } from './socket/options.js'
import { socketOf } from './socket/seen-socket.js'
import { refuseMptcp } from './tcp/mptcp.js'
import { isMptcp, isTcp } from './tcp/peer.js'

export interface InetSocket {
  family: number
  /** struct sockaddr; empty: not bound. */
  address: Uint8Array
  options: SocketOption[]
}

const SOCK_STREAM = 1

/** Asked after the kinds of TCP sockets that are connected, were connected, or listen. */
export const inetSocket: DescriptionKind<unknown> = defineKind<InetSocket>({
  name: 'inet_socket',
  support: {
    topic: 'sockets',
    carried: 'unconnected sockets',
    conditions: [
      'Programs that choose among the sockets of a shared port (`SO_ATTACH_REUSEPORT_CBPF`, `SO_ATTACH_REUSEPORT_EBPF`) are lost: nothing tells of them.',
      'Lost, as the kernel takes and does not give back: an address to send from (IPV6_PKTINFO), labels of flows (IPV6_FLOWLABEL_MGR), anycast addresses (IPV6_JOIN_ANYCAST), the size of fragments (IPV6_MTU), policies (IP_XFRM_POLICY), keys of TCP (TCP_MD5SIG, TCP_AO_ADD_KEY), and a budget for polling (SO_BUSY_POLL_BUDGET). Numbers of time stamps (SOF_TIMESTAMPING_OPT_ID) start anew, and a saved first packet (TCP_SAVED_SYN) is gone.',
      'That a TCP socket was shut down which never was connected is not seen, and lost.',
    ],
    refused: {
      THAW_SOCKET_FILTER: 'TCP sockets with a packet filter; eBPF filters of sockets',
      THAW_MPTCP: 'MPTCP sockets that do not listen: clients, and connections of clients that use MPTCP',
    },
  },

  recognises: (seen) => isTcp(seen) || isMptcp(seen),

  collect(seen) {
    if (isMptcp(seen)) refuseMptcp(seen, 'is an MPTCP socket that does not listen')
    const family = socketOf(seen)?.family ?? AF_INET
    const address = native.getsockname(seen.duplicate())
    const options = collectOptions(seen, family, SOCK_STREAM, IPPROTO_TCP)
    return { family, address: isUnbound(address) ? new Uint8Array() : address, options }
  },

  open({ family, address, options }, emitter) {
    const { program } = emitter
    const fd = emitSocket(emitter, family, SOCK_STREAM, IPPROTO_TCP)
    if (address.length === 0) emitOptions(program, fd, options, 'all')
    else program.for(`TCP port ${portOf(address)}`, () => bindWithOptions(emitter, fd, options, address, () => undefined))
    return fd
  },
})
