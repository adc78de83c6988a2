/** UDP datagrams as whole packets (RFC 768, 791, 8200), which a raw socket sends in anybody's name. */
import { isV4 } from '../socket/address.js'

const V4_HEADER_BYTES = 20
const V6_HEADER_BYTES = 40
const UDP_HEADER_BYTES = 8
const LOOPBACK_MTU = 65536
const TIME_TO_LIVE = 64
const UDP = 17

/** More would have to be fragmented. */
export const LARGEST_V6_PAYLOAD: number = LOOPBACK_MTU - V6_HEADER_BYTES - UDP_HEADER_BYTES

/** @param from and `to`: struct sockaddr_in or sockaddr_in6; of IPv4 in an IPv6 address both */
export function packet(from: Uint8Array, to: Uint8Array, data: Uint8Array): Uint8Array {
  const header = isV4(from) ? v4Header(from, to, data.length) : v6Header(from, to, data.length)
  const udp = new Uint8Array(UDP_HEADER_BYTES + data.length)
  const view = new DataView(udp.buffer)
  udp.set(from.subarray(2, 4), 0)
  udp.set(to.subarray(2, 4), 2)
  view.setUint16(4, udp.length)
  udp.set(data, UDP_HEADER_BYTES)
  // Zero stands for none, so that it is written as its other form.
  view.setUint16(6, checksum(pseudoHeader(from, to, udp.length), udp) || 0xffff)
  const bytes = new Uint8Array(header.length + udp.length)
  bytes.set(header)
  bytes.set(udp, header.length)
  return bytes
}

/** Length and checksum of the header are the kernel's to fill in (raw(7)). */
function v4Header(from: Uint8Array, to: Uint8Array, dataBytes: number): Uint8Array {
  const header = new Uint8Array(V4_HEADER_BYTES)
  header[0] = 0x45
  new DataView(header.buffer).setUint16(2, V4_HEADER_BYTES + UDP_HEADER_BYTES + dataBytes)
  header[8] = TIME_TO_LIVE
  header[9] = UDP
  header.set(bytesOf(from), 12)
  header.set(bytesOf(to), 16)
  return header
}

function v6Header(from: Uint8Array, to: Uint8Array, dataBytes: number): Uint8Array {
  const header = new Uint8Array(V6_HEADER_BYTES)
  header[0] = 0x60
  new DataView(header.buffer).setUint16(4, UDP_HEADER_BYTES + dataBytes)
  header[6] = UDP
  header[7] = TIME_TO_LIVE
  header.set(bytesOf(from), 8)
  header.set(bytesOf(to), 24)
  return header
}

/** Four bytes, or sixteen. */
export function bytesOf(address: Uint8Array): Uint8Array {
  if (address.length < 28) return address.subarray(4, 8)
  return isV4(address) ? address.subarray(20, 24) : address.subarray(8, 24)
}

function pseudoHeader(from: Uint8Array, to: Uint8Array, udpBytes: number): Uint8Array {
  return Uint8Array.of(...bytesOf(from), ...bytesOf(to), 0, UDP, udpBytes >> 8, udpBytes & 0xff)
}

/** RFC 1071. */
function checksum(...parts: readonly Uint8Array[]): number {
  let sum = 0
  for (const part of parts) for (let i = 0; i < part.length; i++) sum += (part[i] ?? 0) << (i % 2 === 0 ? 8 : 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000)
  return ~sum & 0xffff
}
