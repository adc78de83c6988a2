/**
 * Multicast groups that a socket has joined (ip(7), ipv6(7)): it does not list them, but tells of each that its network namespace lists
 * whether it is a member, and from which sources (MCAST_MSFILTER, RFC 3678).
 */
import { readFileSync } from 'node:fs'
import { native } from '../../../native/index.js'
import type { Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import { homeOf } from '../description.js'
import type { SeenDescription } from '../description.js'
import { refusal } from '../refusal.js'
import { hostOf } from './address.js'
import { AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6 } from './option-table.js'
import { socketOf } from './seen-socket.js'

export interface MulticastGroup {
  level: number
  /** Number of the interface. */
  interface: number
  /** struct group_filter. */
  filter: Uint8Array
}

const IP_ADD_MEMBERSHIP = 35
const MCAST_JOIN_GROUP = 42
const MCAST_MSFILTER = 48
const GROUP_OFFSET = 8
const ADDRESS_BYTES = 128
const MODE_OFFSET = GROUP_OFFSET + ADDRESS_BYTES
const COUNT_OFFSET = MODE_OFFSET + 4
const FILTER_BYTES = COUNT_OFFSET + 4
const MOST_SOURCES = 64
const INCLUDE = 1
const LOOPBACK_INTERFACE = 1
const LOOPBACK = [127, 0, 0, 1]

export function collectGroups(seen: SeenDescription): MulticastGroup[] {
  const listed = [...groupsV4(seen), ...(socketOf(seen)?.family === AF_INET6 ? groupsV6(seen) : [])]
  return listed.flatMap(({ level, interface: index, group }) => {
    const filter = readFilter(seen, level, index, group)
    return filter === undefined ? [] : [{ level, interface: index, filter }]
  })
}

interface Listed {
  readonly level: number
  readonly interface: number
  /** struct sockaddr. */
  readonly group: Uint8Array
}

/** A line for each interface, below it one for each group: its address as a number in the machine's order. */
function groupsV4(seen: SeenDescription): Listed[] {
  const groups: Listed[] = []
  let index = 0
  for (const line of linesOf(seen, 'igmp')) {
    index = Number(/^(\d+)\s/.exec(line)?.[1] ?? index)
    const hex = /^\s+([0-9A-F]{8})\s/.exec(line)?.[1]
    if (hex !== undefined)
      groups.push({ level: IPPROTO_IP, interface: index, group: sockaddr(AF_INET, Buffer.from(hex, 'hex').toReversed()) })
  }
  return groups
}

function groupsV6(seen: SeenDescription): Listed[] {
  return linesOf(seen, 'igmp6').flatMap((line) => {
    const [, index, hex] = /^(\d+)\s+\S+\s+([0-9a-f]{32})\s/.exec(line) ?? []
    if (index === undefined || hex === undefined) return []
    return [{ level: IPPROTO_IPV6, interface: Number(index), group: sockaddr(AF_INET6, Buffer.from(hex, 'hex')) }]
  })
}

function sockaddr(family: number, host: Uint8Array): Uint8Array {
  const address = new Uint8Array(family === AF_INET ? 16 : 28)
  new DataView(address.buffer).setUint16(0, family, true)
  address.set(host, family === AF_INET ? 4 : 8)
  return address
}

/** No lines where the kernel has no such protocol. */
function linesOf(seen: SeenDescription, name: string): string[] {
  try {
    return readFileSync(`/proc/${homeOf(seen).pid}/net/${name}`, 'utf8').split('\n')
  } catch {
    return []
  }
}

/** Undefined for a group that the socket is no member of. */
function readFilter(seen: SeenDescription, level: number, index: number, group: Uint8Array): Uint8Array | undefined {
  const filter = new Uint8Array(FILTER_BYTES + MOST_SOURCES * ADDRESS_BYTES)
  const view = new DataView(filter.buffer)
  view.setUint32(0, index, true)
  filter.set(group, GROUP_OFFSET)
  view.setUint32(COUNT_OFFSET, MOST_SOURCES, true)
  try {
    const length = new Uint8Array(Uint32Array.of(filter.length).buffer)
    native.syscall('getsockopt', [seen.duplicate(), level, MCAST_MSFILTER, filter, length])
  } catch (error) {
    // A raw socket of IPv6 has no options of IPv4.
    if (['EADDRNOTAVAIL', 'ENOPROTOOPT'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
  const sources = view.getUint32(COUNT_OFFSET, true)
  if (sources > MOST_SOURCES)
    throw refusal(
      seen,
      'THAW_UDP_GROUPS',
      `is a member of the multicast group ${hostOf(group)} for ${sources} sources, of which ${MOST_SOURCES} can be carried`,
      'Leave the group before the checkpoint.',
    )
  return filter.slice(0, FILTER_BYTES + sources * ADDRESS_BYTES)
}

export function emitGroups(program: Program, fd: Cell, groups: readonly MulticastGroup[]): void {
  for (const { level, interface: index, filter } of groups) {
    const group = filter.subarray(GROUP_OFFSET, GROUP_OFFSET + (level === IPPROTO_IP ? 16 : 28))
    program.for(`multicast group ${hostOf(group)} on interface ${index}`, () => {
      const [option, request] =
        level === IPPROTO_IP ? [IP_ADD_MEMBERSHIP, membership(group, index)] : [MCAST_JOIN_GROUP, join(group, index)]
      program.call('setsockopt', [fd, level, option, program.bundle.bytes(request), request.length])
      const view = new DataView(filter.buffer, filter.byteOffset)
      if (view.getUint32(MODE_OFFSET, true) === INCLUDE || view.getUint32(COUNT_OFFSET, true) > 0)
        program.call('setsockopt', [fd, level, MCAST_MSFILTER, program.bundle.bytes(filter), filter.length])
    })
  }
}

/** struct ip_mreqn. The address of the interface is what the group may be left by. */
function membership(group: Uint8Array, index: number): Uint8Array {
  const request = new Uint8Array(12)
  request.set(group.subarray(4, 8))
  if (index === LOOPBACK_INTERFACE) request.set(LOOPBACK, 4)
  new DataView(request.buffer).setUint32(8, index, true)
  return request
}

/** struct group_req. */
function join(group: Uint8Array, index: number): Uint8Array {
  const request = new Uint8Array(GROUP_OFFSET + ADDRESS_BYTES)
  new DataView(request.buffer).setUint32(0, index, true)
  request.set(group, GROUP_OFFSET)
  return request
}
