/** What sock_diag(7) tells of TCP sockets that nobody has a descriptor for, and of all what is shut down (struct inet_diag_msg of linux/inet_diag.h). */
import { closeSync } from 'node:fs'
import { native } from '../../../native/index.js'
import { homeOf } from '../description.js'
import type { SeenDescription } from '../description.js'
import { isV4, portOf } from './address.js'
import { AF_INET, AF_INET6, AF_NETLINK, IPPROTO_TCP } from './option-table.js'
import { freshSocket } from './options.js'
import { TCP_LISTEN } from './tcp-info.js'
import { bytesOf } from '../udp/packet.js'
import { attributesOf } from '../unix/diag.js'

export interface InetDiag {
  /** TCP_*: also of what a closed socket has left behind (FIN_WAIT2, TIME_WAIT). */
  readonly state: number
  /** struct sockaddr, both. */
  readonly address: Uint8Array
  readonly peer: Uint8Array
  /** To read: all that has come, also behind an urgent mark; the end of the stream counts as a byte. */
  readonly queuedBytes: number
  /** 0 where there is no descriptor. */
  readonly inode: number
  readonly lastDataSentMs: number
  /** RCV_SHUTDOWN 1, SEND_SHUTDOWN 2. */
  readonly shutdown: number
}

const SOCK_RAW = 3
const NETLINK_SOCK_DIAG = 4
const SOCK_DIAG_BY_FAMILY = 20
const NLM_F_REQUEST = 0x1
const NLM_F_DUMP = 0x300
const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const HEADER_BYTES = 16
const REQUEST_BYTES = HEADER_BYTES + 56
const MESSAGE_BYTES = 72
const INET_DIAG_INFO = 2
const INET_DIAG_SHUTDOWN = 8
const LAST_DATA_SENT = 44
const ANSWER_BYTES = 65536
const ENOENT = 2
export const ANY_STATE = 0xffff

/** All sockets of a port, in the network namespace of a description, that are in one of the states (a mask). */
export function socketsOfPort(
  seen: SeenDescription,
  family: number,
  port: number,
  states: number,
  protocol: number = IPPROTO_TCP,
): InetDiag[] {
  return ask(seen, request(family, NLM_F_DUMP, states, port, protocol))
}

/** What stands at the other end of a connection within a machine; undefined: nothing. */
export const otherEnd = (seen: SeenDescription, local: Uint8Array, peer: Uint8Array): InetDiag | undefined => endNamed(seen, peer, local)

/** The end of a connection that has the address `local`, in the network namespace of a description. */
export function endNamed(seen: SeenDescription, local: Uint8Array, peer: Uint8Array): InetDiag | undefined {
  const bytes = request(isV4(local) ? AF_INET : AF_INET6, 0, ANY_STATE, portOf(local), IPPROTO_TCP)
  bytes.set(peer.subarray(2, 4), 26)
  bytes.set(bytesOf(local), 28)
  bytes.set(bytesOf(peer), 44)
  // No cookie: whatever socket has these names.
  bytes.fill(0xff, 64, 72)
  const [found] = ask(seen, bytes)
  // Where no connection has them, whoever listens on the port answers (inet_lookup in net/ipv4/inet_diag.c).
  return found?.state === TCP_LISTEN ? undefined : found
}

/** struct nlmsghdr and struct inet_diag_req_v2. */
function request(family: number, flags: number, states: number, port: number, protocol: number): Uint8Array {
  const bytes = new Uint8Array(REQUEST_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.length, true)
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true)
  view.setUint16(6, NLM_F_REQUEST | flags, true)
  view.setUint8(16, family)
  view.setUint8(17, protocol)
  view.setUint8(18, 1 << (INET_DIAG_INFO - 1))
  view.setUint32(20, states, true)
  view.setUint16(24, port)
  return bytes
}

function ask(seen: SeenDescription, question: Uint8Array): InetDiag[] {
  const socket = freshSocket(homeOf(seen).pid, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)
  try {
    native.sendMessage(socket, question, [])
    const isDump = (new DataView(question.buffer).getUint16(6, true) & NLM_F_DUMP) !== 0
    const found: InetDiag[] = []
    for (;;) {
      const isLast = take(native.receiveMessage(socket, ANSWER_BYTES, 0)?.bytes ?? new Uint8Array(), found)
      if (isLast || !isDump) return found
    }
  } finally {
    closeSync(socket)
  }
}

/** Returns whether that was the last. */
function take(bytes: Uint8Array, found: InetDiag[]): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = view.getUint32(at, true)
    const type = view.getUint16(at + 4, true)
    const errno = type === NLMSG_ERROR ? -view.getInt32(at + HEADER_BYTES, true) : 0
    if (errno !== 0 && errno !== ENOENT) throw new Error(`sock_diag: ${native.errnoNames[errno] ?? 'error'}`)
    if (type === NLMSG_ERROR || type === NLMSG_DONE || length < HEADER_BYTES) return true
    found.push(parse(bytes.subarray(at + HEADER_BYTES, at + length)))
    at += Math.ceil(length / 4) * 4
  }
  return bytes.length === 0
}

function parse(bytes: Uint8Array): InetDiag {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const family = view.getUint8(0)
  const attributes = attributesOf(bytes.subarray(MESSAGE_BYTES))
  const info = attributes.get(INET_DIAG_INFO)
  return {
    state: view.getUint8(1),
    address: sockaddr(family, bytes.subarray(4, 6), bytes.subarray(8, 24)),
    peer: sockaddr(family, bytes.subarray(6, 8), bytes.subarray(24, 40)),
    queuedBytes: view.getUint32(56, true),
    inode: view.getUint32(68, true),
    lastDataSentMs: info === undefined ? 0 : new DataView(info.buffer, info.byteOffset).getUint32(LAST_DATA_SENT, true),
    shutdown: attributes.get(INET_DIAG_SHUTDOWN)?.[0] ?? 0,
  }
}

function sockaddr(family: number, port: Uint8Array, host: Uint8Array): Uint8Array {
  const address = new Uint8Array(family === AF_INET6 ? 28 : 16)
  new DataView(address.buffer).setUint16(0, family, true)
  address.set(port, 2)
  address.set(host.subarray(0, family === AF_INET6 ? 16 : 4), family === AF_INET6 ? 8 : 4)
  return address
}
