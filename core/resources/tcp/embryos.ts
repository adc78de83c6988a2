/**
 * Connections that a listener has not accepted yet. Nobody has a descriptor for them; sock_diag(7) lists them, without an inode. What is queued in
 * one cannot be read, and their order is known only from when they came.
 */
import { closeSync } from 'node:fs'
import { native } from '../../../native/index.js'
import { homeOf } from '../description.js'
import type { SeenDescription } from '../description.js'
import { AF_INET, AF_INET6, AF_NETLINK, IPPROTO_TCP } from '../socket/option-table.js'
import { freshSocket } from '../socket/options.js'
import { portOf } from '../socket/address.js'
import { socketOf } from '../socket/seen-socket.js'
import { TCP_CLOSE_WAIT, TCP_ESTABLISHED } from '../socket/tcp-info.js'
import { attributesOf } from '../unix/diag.js'

export interface Embryo {
  /** struct sockaddr: its own, which the client connected to, and the client's. */
  readonly address: Uint8Array
  readonly client: Uint8Array
  /** The client has shut down its end. */
  readonly ended: boolean
  readonly unreadBytes: number
  /** How long ago it came, to a few milliseconds. */
  readonly ageMs: number
}

const SOCK_RAW = 3
const NETLINK_SOCK_DIAG = 4
const SOCK_DIAG_BY_FAMILY = 20
const NLM_F_REQUEST_DUMP = 0x301
const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const HEADER_BYTES = 16
const REQUEST_BYTES = HEADER_BYTES + 56
const MESSAGE_BYTES = 72
const INET_DIAG_INFO = 2
const LAST_DATA_SENT = 44
const CLOCK_MONOTONIC_COARSE = 6
const ANSWER_BYTES = 65536
const STATES = (1 << TCP_ESTABLISHED) | (1 << TCP_CLOSE_WAIT)

/** What the ages of two may differ by though they came at once: each was taken at a tick of the kernel's clock, and so is now. */
export function ageToleranceMs(): number {
  const resolution = new Uint8Array(16)
  native.syscall('clock_getres', [CLOCK_MONOTONIC_COARSE, resolution])
  return (2 * Number(new DataView(resolution.buffer).getBigInt64(8, true))) / 1e6
}

/** The oldest first. */
export function embryosOf(listener: SeenDescription): Embryo[] {
  const family = socketOf(listener)?.family ?? AF_INET
  const socket = freshSocket(homeOf(listener).pid, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)
  try {
    native.sendMessage(socket, request(family, portOf(native.getsockname(listener.duplicate()))), [])
    return answers(socket).toSorted((a, b) => b.ageMs - a.ageMs)
  } finally {
    closeSync(socket)
  }
}

/** struct nlmsghdr and struct inet_diag_req_v2 (linux/inet_diag.h): all of a port. */
function request(family: number, port: number): Uint8Array {
  const bytes = new Uint8Array(REQUEST_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.length, true)
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true)
  view.setUint16(6, NLM_F_REQUEST_DUMP, true)
  view.setUint8(16, family)
  view.setUint8(17, IPPROTO_TCP)
  view.setUint8(18, 1 << (INET_DIAG_INFO - 1))
  view.setUint32(20, STATES, true)
  view.setUint16(24, port)
  return bytes
}

function answers(socket: number): Embryo[] {
  const embryos: Embryo[] = []
  for (;;) {
    const bytes = native.receiveMessage(socket, ANSWER_BYTES, 0)?.bytes ?? new Uint8Array()
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
      const length = view.getUint32(at, true)
      const type = view.getUint16(at + 4, true)
      if (type === NLMSG_ERROR) throw new Error(`sock_diag: ${native.errnoNames[-view.getInt32(at + 16, true)] ?? 'error'}`)
      if (type === NLMSG_DONE || length < HEADER_BYTES) return embryos
      const embryo = parse(bytes.subarray(at + HEADER_BYTES, at + length))
      if (embryo !== undefined) embryos.push(embryo)
      at += Math.ceil(length / 4) * 4
    }
  }
}

/** struct inet_diag_msg. Who was accepted has an inode. */
function parse(bytes: Uint8Array): Embryo | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(68, true) !== 0) return undefined
  const family = view.getUint8(0)
  const ended = view.getUint8(1) === TCP_CLOSE_WAIT
  const info = attributesOf(bytes.subarray(MESSAGE_BYTES)).get(INET_DIAG_INFO) ?? new Uint8Array(LAST_DATA_SENT + 4)
  return {
    address: sockaddr(family, bytes.subarray(4, 6), bytes.subarray(8, 24)),
    client: sockaddr(family, bytes.subarray(6, 8), bytes.subarray(24, 40)),
    ended,
    // The end of the stream counts as a byte.
    unreadBytes: view.getUint32(56, true) - (ended ? 1 : 0),
    ageMs: new DataView(info.buffer, info.byteOffset).getUint32(LAST_DATA_SENT, true),
  }
}

function sockaddr(family: number, port: Uint8Array, host: Uint8Array): Uint8Array {
  const address = new Uint8Array(family === AF_INET6 ? 28 : 16)
  new DataView(address.buffer).setUint16(0, family, true)
  address.set(port, 2)
  address.set(host.subarray(0, family === AF_INET6 ? 16 : 4), family === AF_INET6 ? 8 : 4)
  return address
}
