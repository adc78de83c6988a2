/** struct sockaddr_in and struct sockaddr_in6 (ip(7), ipv6(7)). */
import { AF_INET, AF_INET6 } from './option-table.js'

const SOCKADDR_IN_BYTES = 16
const SOCKADDR_IN6_BYTES = 28

export const isWhole = ({ length }: Uint8Array): boolean => length === SOCKADDR_IN_BYTES || length === SOCKADDR_IN6_BYTES

export function portOf(address: Uint8Array): number {
  return address.length < 4 ? 0 : ((address[2] ?? 0) << 8) | (address[3] ?? 0)
}

/** `10.0.0.5:6379`, `[::1]:80`. */
export function printAddress(address: Uint8Array): string {
  const family = new DataView(address.buffer, address.byteOffset).getUint16(0, true)
  if (family === AF_INET) return `${[...address.subarray(4, 8)].join('.')}:${portOf(address)}`
  const groups = Array.from({ length: 8 }, (_, i) => (((address[8 + i * 2] ?? 0) << 8) | (address[9 + i * 2] ?? 0)).toString(16))
  const mapped = groups.slice(0, 6).join(':') === '0:0:0:0:0:ffff'
  if (mapped) return `${[...address.subarray(20, 24)].join('.')}:${portOf(address)}`
  return `[${groups.join(':').replace(/(^|:)0(:0)+(:|$)/, '::')}]:${portOf(address)}`
}

/** Any port of the machine itself. */
export function loopbackAddress(family: number): Uint8Array {
  const address = new Uint8Array(family === AF_INET6 ? SOCKADDR_IN6_BYTES : SOCKADDR_IN_BYTES)
  new DataView(address.buffer).setUint16(0, family, true)
  if (family === AF_INET6) address[8 + 15] = 1
  else address.set([127, 0, 0, 1], 4)
  return address
}

/** 0.0.0.0 or ::, whatever the port. */
export function isAnywhere(address: Uint8Array): boolean {
  const family = new DataView(address.buffer, address.byteOffset).getUint16(0, true)
  const host = family === AF_INET6 ? address.subarray(8, 24) : address.subarray(4, 8)
  return host.every((byte) => byte === 0)
}

export const isLoopback = (address: Uint8Array): boolean => /^(127\.|\[::1\])/.test(printAddress(address))

/** Bound to nothing: neither port nor address. */
export const isUnbound = (address: Uint8Array): boolean => portOf(address) === 0 && isAnywhere(address)

/** IPv4, in an address of its own or in one of IPv6. */
export const isV4 = (address: Uint8Array): boolean => !printAddress(address).startsWith('[')

/** Without port and brackets. */
export const hostOf = (address: Uint8Array): string =>
  printAddress(address)
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')

/** 224.0.0.0/4, ff00::/8. */
export const isMulticast = (address: Uint8Array): boolean => /^(22[4-9]|23\d)\.|^ff/.test(hostOf(address))
