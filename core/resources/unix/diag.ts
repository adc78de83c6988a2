/** What sock_diag(7) tells of unix sockets, and of no other way: the peer, the name, what is shut down. */
import { closeSync } from 'node:fs'
import { native } from '../../../native/index.js'
import { homeOf } from '../description.js'
import type { SeenDescription } from '../description.js'
import { AF_UNIX } from '../socket/option-table.js'
import { freshSocket } from '../socket/options.js'
import { socketOf } from '../socket/seen-socket.js'

const AF_NETLINK = 16
const SOCK_RAW = 3
const NETLINK_SOCK_DIAG = 4
const SOCK_DIAG_BY_FAMILY = 20
const NLMSG_ERROR = 2
const NLM_F_REQUEST = 1
/** Name, file, peer, connections that wait, queues; the shutdown mask always comes. */
const UDIAG_SHOW = 0x1 | 0x2 | 0x4 | 0x8 | 0x10
const NLMSG_HEADER_BYTES = 16
const DIAG_MESSAGE_BYTES = 16

export interface UnixDiag {
  /** SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET. */
  readonly type: number
  /** TCP_ESTABLISHED 1, TCP_CLOSE 7, TCP_LISTEN 10. */
  readonly state: number
  /** Inode of the peer; 0 for one that was closed or not yet accepted; undefined when not connected. */
  readonly peer: number | undefined
  /** RCV_SHUTDOWN 1, SEND_SHUTDOWN 2. */
  readonly shutdown: number
  /** sun_path: abstract names start with a null byte. */
  readonly name: Uint8Array | undefined
  /** The file that the name was bound to. */
  readonly file: { readonly inode: number } | undefined
  /** Of a listening socket: inodes of who waits to be accepted, in order; 0 for one that was closed meanwhile. */
  readonly clients: readonly number[]
  /** Of any other: memory that holds what it has sent and nobody has read. */
  readonly unread: number
  /** Of a listening socket: connections that wait. */
  readonly waiting: number
  /** Of a listening socket: how many may wait. */
  readonly backlog: number
}

const known = new WeakMap<SeenDescription, UnixDiag>()

export function isUnixSocket(seen: SeenDescription): boolean {
  return socketOf(seen)?.family === AF_UNIX
}

export const inodeOf = ({ link }: SeenDescription): number => Number(/\[(\d+)\]/.exec(link)?.[1] ?? 0)

export function readUnixDiag(seen: SeenDescription): UnixDiag {
  const before = known.get(seen)
  if (before !== undefined) return before
  const diag = ask(seen)
  known.set(seen, diag)
  return diag
}

function ask(seen: SeenDescription): UnixDiag {
  const socket = freshSocket(homeOf(seen).pid, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)
  try {
    native.sendMessage(socket, request(inodeOf(seen)), [])
    const answer = native.receiveMessage(socket, 16384, 0)
    if (answer === null) throw new Error('sock_diag does not answer')
    return parse(answer.bytes)
  } finally {
    closeSync(socket)
  }
}

/** struct nlmsghdr and struct unix_diag_req (linux/unix_diag.h). */
function request(inode: number): Uint8Array {
  const bytes = new Uint8Array(NLMSG_HEADER_BYTES + 24)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.length, true)
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true)
  view.setUint16(6, NLM_F_REQUEST, true)
  view.setUint8(16, AF_UNIX)
  view.setUint32(20, 0xffff_ffff, true)
  view.setUint32(24, inode, true)
  view.setUint32(28, UDIAG_SHOW, true)
  // No cookie: whatever socket has the inode.
  view.setUint32(32, 0xffff_ffff, true)
  view.setUint32(36, 0xffff_ffff, true)
  return bytes
}

function parse(bytes: Uint8Array): UnixDiag {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint16(4, true) === NLMSG_ERROR) throw new Error(`sock_diag: ${native.errnoNames[-view.getInt32(16, true)] ?? 'error'}`)
  const attributes = attributesOf(bytes.subarray(NLMSG_HEADER_BYTES + DIAG_MESSAGE_BYTES, view.getUint32(0, true)))
  const word = (type: number, index = 0): number | undefined => {
    const value = attributes.get(type)
    return value === undefined ? undefined : new DataView(value.buffer, value.byteOffset).getUint32(index * 4, true)
  }
  const file = word(1)
  const icons = attributes.get(3)
  return {
    type: view.getUint8(17),
    state: view.getUint8(18),
    name: attributes.get(0),
    file: file === undefined ? undefined : { inode: file },
    peer: word(2),
    clients: icons === undefined ? [] : [...new Uint32Array(icons.slice().buffer)],
    unread: word(4, 1) ?? 0,
    waiting: word(4, 0) ?? 0,
    backlog: word(4, 1) ?? 0,
    shutdown: attributes.get(6)?.[0] ?? 0,
  }
}

/** struct nlattr: length with header, type, value; aligned to 4 bytes. */
export function attributesOf(bytes: Uint8Array): Map<number, Uint8Array> {
  const attributes = new Map<number, Uint8Array>()
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = view.getUint16(at, true)
    if (length < 4) break
    attributes.set(view.getUint16(at + 2, true), bytes.slice(at + 4, at + length))
    at += Math.ceil(length / 4) * 4
  }
  return attributes
}
