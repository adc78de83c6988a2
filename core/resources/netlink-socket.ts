/** Netlink sockets with nothing to read (netlink(7)): what they ask the kernel, or wait for it to tell. */
import { native } from '../../native/index.js'
import { defineKind } from './description.js'
import type { DescriptionKind, SeenDescription } from './description.js'
import { NETLINK_AUDIT, refuseAuditDaemon } from './netlink/audit.js'
import { refusal } from './refusal.js'
import { emitSocket, setInt } from './socket/emission.js'
import { AF_NETLINK, intOf } from './socket/option-table.js'
import { collectOptions, emitOptions } from './socket/options.js'
import type { SocketOption } from './socket/options.js'
import { socketOf } from './socket/seen-socket.js'

export interface NetlinkSocket {
  type: number
  protocol: number
  /** Its address; 0: not bound. */
  port: number
  /** Numbers of the groups that it has joined. */
  groups: number[]
  /** struct sockaddr_nl; empty: the kernel. */
  peer: Uint8Array
  options: SocketOption[]
}

const SOL_NETLINK = 270
const NETLINK_ADD_MEMBERSHIP = 1
const NETLINK_LIST_MEMBERSHIPS = 9
/** pktinfo, broadcast_error, no_enobufs, listen_all_nsid, cap_ack, ext_ack, get_strict_chk */
const ownOptions = [3, 4, 5, 8, 10, 11, 12]
const MOST_GROUP_BYTES = 512
const SOCKADDR_BYTES = 12
const POLLIN = 1
const POLLERR = 8
/** Those whose sockets are for questions and news. To others the kernel ties things, such as queues of packets. */
const protocols: ReadonlyMap<number, string> = new Map([
  [0, 'route'],
  [2, 'user'],
  [4, 'sock_diag'],
  [6, 'xfrm'],
  [7, 'selinux'],
  [NETLINK_AUDIT, 'audit'],
  [15, 'uevent'],
  [16, 'generic'],
  [21, 'crypto'],
])

export const netlinkSocket: DescriptionKind<unknown> = defineKind<NetlinkSocket>({
  name: 'netlink_socket',
  support: {
    topic: 'sockets',
    carried: 'netlink sockets',
    refused: {
      THAW_NETLINK_QUEUE: 'unread netlink messages',
      THAW_NETLINK_PROTOCOL: "netlink protocols other than the usual, and the audit daemon's socket",
    },
  },

  recognises: (seen) => socketOf(seen)?.family === AF_NETLINK,

  collect(seen, tree) {
    const { type, protocol } = socketOf(seen) ?? { type: 0, protocol: 0 }
    if (!protocols.has(protocol))
      throw refusal(
        seen,
        'THAW_NETLINK_PROTOCOL',
        `is a netlink socket of protocol ${protocol}, which is not carried`,
        'Close it in the warm-up.',
      )
    const fd = seen.duplicate()
    const groups = joinedGroups(seen)
    if (protocol === NETLINK_AUDIT) refuseAuditDaemon(seen, tree, groups)
    if ((native.poll(fd, POLLIN, 0) & (POLLIN | POLLERR)) !== 0)
      throw refusal(
        seen,
        'THAW_NETLINK_QUEUE',
        `is a netlink socket (${protocols.get(protocol)}) with messages that it has not read yet`,
        'Let it read them before the checkpoint.',
      )
    const peer = native.getpeername(fd) ?? new Uint8Array()
    return {
      type,
      protocol,
      port: wordAt(native.getsockname(fd), 4),
      groups,
      peer: wordAt(peer, 4) === 0 && wordAt(peer, 8) === 0 ? new Uint8Array() : peer,
      options: [...collectOptions(seen, AF_NETLINK, type, protocol), ...collectOwnOptions(fd)],
    }
  },

  open({ type, protocol, port, groups, peer, options }, emitter) {
    const { program } = emitter
    const fd = emitSocket(emitter, AF_NETLINK, type, protocol)
    emitOptions(program, fd, options, 'all')
    if (port !== 0)
      program.for(`netlink port ${port}`, () => program.call('bind', [fd, program.bundle.bytes(address(port)), SOCKADDR_BYTES]))
    for (const group of groups) program.for(`netlink group ${group}`, () => setInt(program, fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group))
    if (peer.length > 0) program.call('connect', [fd, program.bundle.bytes(peer), peer.length])
    return fd
  },
})

const wordAt = (bytes: Uint8Array, offset: number): number =>
  bytes.length < offset + 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset, true)

/** struct sockaddr_nl, without groups. */
function address(port: number): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, AF_NETLINK, true)
  view.setUint32(4, port, true)
  return bytes
}

/** Group n is bit n - 1. */
function joinedGroups(seen: SeenDescription): number[] {
  const mask = native.getsockopt(seen.duplicate(), SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, MOST_GROUP_BYTES)
  return [...mask].flatMap((byte, index) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte & (1 << bit)) !== 0).map((bit) => index * 8 + bit + 1),
  )
}

/** All are off in a new socket. */
function collectOwnOptions(fd: number): SocketOption[] {
  return ownOptions.flatMap((option) => {
    const value = readOption(fd, option)
    return value === undefined || intOf(value) === 0 ? [] : [{ level: SOL_NETLINK, option, value }]
  })
}

/** Undefined where this kernel has no such option. */
function readOption(fd: number, option: number): Uint8Array | undefined {
  try {
    return native.getsockopt(fd, SOL_NETLINK, option, 4)
  } catch {
    return undefined
  }
}
