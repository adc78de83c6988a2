/** What sock_diag(7) tells of packet sockets, and of no other way (linux/packet_diag.h). */
import { closeSync } from 'node:fs'
import { native } from '../../../native/index.js'
import { homeOf } from '../description.js'
import type { SeenDescription } from '../description.js'
import { AF_NETLINK, AF_PACKET, SOCK_RAW } from '../socket/option-table.js'
import { freshSocket } from '../socket/options.js'

const NETLINK_SOCK_DIAG = 4
const SOCK_DIAG_BY_FAMILY = 20
const NLM_F_REQUEST_DUMP = 0x301
/** Information, memberships, rings, fan-out. */
const SHOW = 0x1 | 0x2 | 0x4 | 0x8
const HEADER_BYTES = 16
const MESSAGE_BYTES = 16
const MEMBERSHIP_BYTES = 44
const ANSWER_BYTES = 65536

export interface PacketMembership {
  interface: number
  /** PACKET_MR_*. */
  type: number
  address: Uint8Array
  /** How often it was asked for. */
  count: number
}

export interface PacketDiag {
  readonly copyThreshold: number
  readonly memberships: PacketMembership[]
  /** A ring for packets, in either direction. */
  readonly hasRing: boolean
  readonly fansOut: boolean
}

/** Undefined where this kernel does not tell (CONFIG_PACKET_DIAG). The kernel tells of all; there is no asking for one. */
export function readPacketDiag(seen: SeenDescription): PacketDiag | undefined {
  const inode = Number(/\[(\d+)\]/.exec(seen.link)?.[1])
  const socket = freshSocket(homeOf(seen).pid, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)
  try {
    native.sendMessage(socket, request(), [])
    for (;;) {
      const answer = native.receiveMessage(socket, ANSWER_BYTES, 0)
      if (answer === null) return undefined
      for (const message of split(answer.bytes, 0)) {
        if (message.type !== SOCK_DIAG_BY_FAMILY) return undefined
        if (new DataView(message.body.buffer, message.body.byteOffset).getUint32(4, true) === inode) return parse(message.body)
      }
    }
  } finally {
    closeSync(socket)
  }
}

/** struct nlmsghdr and struct packet_diag_req. */
function request(): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + 20)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.length, true)
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true)
  view.setUint16(6, NLM_F_REQUEST_DUMP, true)
  view.setUint8(HEADER_BYTES, AF_PACKET)
  view.setUint32(HEADER_BYTES + 8, SHOW, true)
  return bytes
}

/** Messages, each with a header of 16 bytes whose first word is the length. */
function* split(bytes: Uint8Array, from: number): Generator<{ type: number; body: Uint8Array }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = from; at + HEADER_BYTES <= bytes.length;) {
    const length = view.getUint32(at, true)
    yield { type: view.getUint16(at + 4, true), body: bytes.subarray(at + HEADER_BYTES, at + length) }
    at += Math.max(HEADER_BYTES, (length + 3) & ~3)
  }
}

function parse(body: Uint8Array): PacketDiag {
  const attributes = new Map<number, Uint8Array>()
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  for (let at = MESSAGE_BYTES; at + 4 <= body.length; at += (view.getUint16(at, true) + 3) & ~3)
    attributes.set(view.getUint16(at + 2, true), body.subarray(at + 4, at + view.getUint16(at, true)))
  const information = attributes.get(0)
  const list = attributes.get(1) ?? new Uint8Array()
  return {
    // index, version, reserve, copy_thresh
    copyThreshold: information === undefined ? 0 : new DataView(information.buffer, information.byteOffset).getUint32(12, true),
    memberships: Array.from({ length: Math.floor(list.length / MEMBERSHIP_BYTES) }, (_, i) =>
      membership(list.subarray(i * MEMBERSHIP_BYTES, (i + 1) * MEMBERSHIP_BYTES)),
    ),
    hasRing: attributes.has(2) || attributes.has(3),
    fansOut: attributes.has(4),
  }
}

/** struct packet_diag_mclist. */
function membership(bytes: Uint8Array): PacketMembership {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const length = view.getUint16(10, true)
  return {
    interface: view.getUint32(0, true),
    count: view.getUint32(4, true),
    type: view.getUint16(8, true),
    address: bytes.slice(12, 12 + length),
  }
}
