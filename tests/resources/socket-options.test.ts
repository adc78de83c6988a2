/** Every option of sockets that this kernel tells of is in the table, or known to need no place in it. */
import { release } from 'node:os'
import { expect, test } from 'vitest'
import { optionsFor } from '../../dist/core/resources/socket/option-table.js'
import { native } from '../../dist/native/index.js'
import { OwnDescriptors } from './own-tree.ts'

const LAST_LOOKED_AT = [6, 18]
const LEVELS = [0, 1, 6, 17, 41, 58, 255, 263]
const OPTIONS = 256
const MOST_BYTES = 4096

const kinds: Readonly<Record<string, readonly [family: number, type: number, protocol: number]>> = {
  TCP: [2, 1, 6],
  'TCP over IPv6': [10, 1, 6],
  UDP: [2, 2, 17],
  'UDP over IPv6': [10, 2, 17],
  'raw IPv4': [2, 3, 253],
  'raw IPv6': [10, 3, 254],
  ICMP: [2, 3, 1],
  ICMPv6: [10, 3, 58],
  'unix stream': [1, 1, 0],
  'unix datagram': [1, 2, 0],
  netlink: [16, 3, 0],
  packet: [17, 3, 0],
}

/** What is no setting but a fact, a statistic or a question (F), is shown by another option too (S), or is seen to elsewhere (E). */
const known: Readonly<Record<string, readonly number[]>> = {
  // F: type, error, bsdcompat, sndlowat, acceptconn, protocol, domain, bpf_extensions, meminfo, napi_id, cookie; S: bindtoifindex, rcvtimeo_new,
  // sndtimeo_new; E: peercred, filter, peername, peergroups, peerpidfd
  'every 1': [3, 4, 14, 19, 30, 38, 39, 48, 55, 56, 57, 62, 66, 67, 17, 26, 28, 59, 77],
  // F: pktoptions, protocol; E: hdrincl and router_alert, of raw sockets
  'every 0': [9, 52, 3, 5],
  // F: info, quickack, thin_dupack, timestamp, cc_info, saved_syn, zerocopy_receive, is_mptcp; E: repair, repair_queue, queue_seq, ulp
  'every 6': [11, 12, 17, 24, 26, 28, 35, 43, 19, 20, 21, 31],
  // F: those of UDP-Lite
  'every 17': [10, 11],
  // F: pktoptions; conditions: router_alert, and MRT6 version, assert and PIM; S: checksum, by another level
  'every 41': [6, 22, 206, 207, 208, 7],
  // Of connections the kernel has another use for multicast_if.
  'TCP 0': [32],
  'TCP over IPv6 0': [32],
  'TCP over IPv6 41': [17],
  // S: hdrincl, by another level
  'raw IPv6 255': [36],
  'ICMPv6 255': [36],
  // F: statistics, hdrlen; E: copy_thresh, fanout
  'packet 263': [6, 11, 7, 18],
}

function isAnswered(fd: number, level: number, option: number): boolean {
  try {
    native.getsockopt(fd, level, option, MOST_BYTES)
    return true
  } catch {
    return false
  }
}

const [major = 0, minor = 0] = release().split('.').map(Number)
const isNewer = major > LAST_LOOKED_AT[0]! || (major === LAST_LOOKED_AT[0]! && minor > LAST_LOOKED_AT[1]!)

test.for(Object.entries(kinds))('%s', ([name, [family, type, protocol]], { skip }) => {
  skip(isNewer, `Linux ${LAST_LOOKED_AT.join('.')} at most`)
  using own = new OwnDescriptors()
  let fd: number
  try {
    fd = own.keep(native.socket(family, type, protocol))
  } catch {
    return skip('sockets that take CAP_NET_RAW')
  }
  const carried = new Set(optionsFor(family, type, protocol).map(({ level, option }) => `${level}:${option}`))
  const missing = LEVELS.flatMap((level) => {
    const needsNone = new Set([...(known[`every ${level}`] ?? []), ...(known[`${name} ${level}`] ?? [])])
    const answered = Array.from({ length: OPTIONS }, (_, option) => option).filter((option) => isAnswered(fd, level, option))
    return answered.filter((option) => !needsNone.has(option)).map((option) => `${level}:${option}`)
  }).filter((option) => !carried.has(option))
  expect(missing).toEqual([])
})
