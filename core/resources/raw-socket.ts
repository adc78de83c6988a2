/**
 * Raw sockets (raw(7)) with nothing to read. They hear all of their protocol from the moment they are made: so nothing gets through to them
 * before the gate opens.
 */
import { readFileSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { Program } from '../program/program.js'
import type { Cell } from '../program/bundle.js'
import { defineKind, homeOf } from './description.js'
import type { DescriptionKind, SeenDescription, SeenTree } from './description.js'
import { refusal } from './refusal.js'
import { isAnywhere } from './socket/address.js'
import { emitSocket } from './socket/emission.js'
import { emitDeaf, emitHearing, isFilter } from './socket/filter.js'
import { collectGroups, emitGroups } from './socket/multicast.js'
import type { MulticastGroup } from './socket/multicast.js'
import { AF_INET, AF_INET6, SO_ATTACH_FILTER, SOCK_RAW } from './socket/option-table.js'
import { collectOptions, emitOptions } from './socket/options.js'
import type { SocketOption } from './socket/options.js'
import { socketOf } from './socket/seen-socket.js'

export interface RawSocket {
  family: number
  protocol: number
  /** struct sockaddr; empty: not bound. */
  address: Uint8Array
  /** Empty: not connected. */
  peer: Uint8Array
  options: SocketOption[]
  groups: MulticastGroup[]
}

const IPPROTO_IGMP = 2
const POLLIN = 1
const POLLERR = 8
const EAGAIN = 11
const MSG_DONTWAIT = 0x40
const ADVICE = 'Close it in the warm-up.'

export const rawSocket: DescriptionKind<unknown> = defineKind<RawSocket>({
  name: 'raw_socket',
  support: {
    topic: 'sockets',
    carried: 'raw sockets; packet filters',
    conditions: [
      'Router alerts that an IPv6 raw socket asks for (IPV6_ROUTER_ALERT) are not seen, and lost; so are those of IPv4 where the kernel does not tell of them.',
      'That a raw socket has an interface for multicast by its number (IP_MULTICAST_IF with struct ip_mreqn), or routes multicast of IPv6 (MRT6_INIT) is not seen, and lost.',
      'That a raw socket is shut down for writing is not seen, and lost.',
    ],
    refused: {
      THAW_RAW_QUEUE: 'raw sockets with something to read, an error to report, or something held back',
      THAW_RAW_PROTOCOL: 'raw sockets for IGMP, by which multicast is routed',
    },
  },

  recognises(seen) {
    const socket = socketOf(seen)
    return socket?.type === SOCK_RAW && (socket.family === AF_INET || socket.family === AF_INET6)
  },

  collect(seen, tree) {
    const { family, protocol } = socketOf(seen) ?? { family: AF_INET, protocol: 0 }
    if (protocol === IPPROTO_IGMP)
      throw refusal(seen, 'THAW_RAW_PROTOCOL', 'is a raw socket for IGMP, by which multicast is routed, which is not carried', ADVICE)
    const { sending, peer } = lineOf(seen, family)
    refuseBusy(seen, tree, sending)
    const address = native.getsockname(seen.duplicate())
    const options = collectOptions(seen, family, SOCK_RAW, protocol)
    return { family, protocol, address: isAnywhere(address) ? new Uint8Array() : address, peer, options, groups: collectGroups(seen) }
  },

  open({ family, protocol, address, peer, options, groups }, emitter) {
    const { program, bundle } = emitter
    const fd = emitSocket(emitter, family, SOCK_RAW, protocol)
    emitDeaf(program, fd)
    emitDrain(program, fd)
    emitOptions(program, fd, options, 'others')
    if (address.length > 0) program.call('bind', [fd, bundle.bytes(address), address.length])
    emitGroups(program, fd, groups)
    if (peer.length > 0) program.call('connect', [fd, bundle.bytes(peer), peer.length])
    return fd
  },

  arm({ options }, { program }, _placements, self) {
    if (!options.some((option) => isFilter(option) && option.option === SO_ATTACH_FILTER)) emitHearing(program, self)
    emitOptions(program, self, options, 'buffers')
  },
})

function refuseBusy(seen: SeenDescription, tree: SeenTree, sending: number): void {
  const events = native.poll(seen.duplicate(), POLLIN, 0)
  const what =
    (events & POLLERR) !== 0
      ? 'an error to report'
      : (events & POLLIN) !== 0
        ? 'packets that it has not read yet'
        : tree.frozen && sending > 0
          ? 'something that it holds back, or is sending'
          : undefined
  if (what !== undefined)
    throw refusal(seen, 'THAW_RAW_QUEUE', `is a raw socket with ${what}`, 'Let it be done with that before the checkpoint, or close it.')
}

/** What came before it was deaf. */
function emitDrain(program: Program, fd: Cell): void {
  const byte = program.bundle.allocate(8)
  const again = program.here
  const received = program.call('recvfrom', [fd, byte, 1, MSG_DONTWAIT, 0, 0], { orErrno: EAGAIN })
  program.jump(again, 'not-equal', received, -EAGAIN)
}

/**
 * Its line in /proc/net/raw: where it is connected to, which the socket itself does not tell where that is no port, and how much it is
 * about to send. Numbers of four bytes stand there in the machine's order.
 */
function lineOf(seen: SeenDescription, family: number): { readonly sending: number; readonly peer: Uint8Array } {
  const inode = /\[(\d+)\]/.exec(seen.link)?.[1]
  const text = readFileSync(`/proc/${homeOf(seen).pid}/net/raw${family === AF_INET6 ? '6' : ''}`, 'latin1')
  const words = text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find((line) => line[9] === inode)
  if (words === undefined) throw new Error(`no raw socket has the number ${inode}`)
  const [, , remote = '', state, queues = ''] = words
  const sending = Number.parseInt(queues.split(':')[0] ?? '', 16)
  if (state !== CONNECTED) return { sending, peer: new Uint8Array() }
  return { sending, peer: native.getpeername(seen.duplicate()) ?? addressOf(family, remote.split(':')[0] ?? '') }
}

/** TCP_ESTABLISHED. */
const CONNECTED = '01'

/** struct sockaddr_in or sockaddr_in6, without a port. */
function addressOf(family: number, host: string): Uint8Array {
  const [length, at] = family === AF_INET6 ? [28, 8] : [16, 4]
  const bytes = new Uint8Array(length)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, family, true)
  host.match(/.{8}/g)?.forEach((word, i) => view.setUint32(at + i * 4, Number.parseInt(word, 16), true))
  return bytes
}
