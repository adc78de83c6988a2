/** Packet sockets (packet(7)) with nothing to read. They hear nothing until they are bound, which is when the gate has opened. */
import { native } from '../../native/index.js'
import type { Program } from '../program/program.js'
import type { Cell } from '../program/bundle.js'
import { defineKind } from './description.js'
import type { DescriptionKind, SeenDescription } from './description.js'
import { readPacketDiag } from './packet/diag.js'
import type { PacketDiag, PacketMembership } from './packet/diag.js'
import { refusal } from './refusal.js'
import { emitSocket, setInt } from './socket/emission.js'
import { AF_PACKET, SOL_PACKET } from './socket/option-table.js'
import { collectOptions, emitOptions } from './socket/options.js'
import type { SocketOption } from './socket/options.js'
import { socketOf } from './socket/seen-socket.js'

export interface PacketSocket {
  /** SOCK_RAW, SOCK_DGRAM. */
  type: number
  /** In the order of the network; 0: it hears nothing. */
  protocol: number
  /** 0: all. */
  interface: number
  copyThreshold: number
  memberships: PacketMembership[]
  options: SocketOption[]
}

const SOCK_PACKET = 10
const PACKET_ADD_MEMBERSHIP = 1
const PACKET_COPY_THRESH = 7
const SOCKADDR_LL_BYTES = 20
/** struct packet_mreq: its address has room for eight bytes, or as many as there are. */
const LEAST_MEMBERSHIP_BYTES = 16
/** MAX_ADDR_LEN. */
const MOST_ADDRESS_BYTES = 32
/** Each is one call. */
const MOST_MEMBERSHIPS = 1 << 16
const POLLIN = 1
const POLLERR = 8

export const packetSocket: DescriptionKind<unknown> = defineKind<PacketSocket>({
  name: 'packet_socket',
  support: {
    topic: 'sockets',
    carried: 'packet sockets',
    conditions: ['A packet socket counts packets and drops (PACKET_STATISTICS) from zero.'],
    refused: {
      THAW_PACKET_QUEUE: 'packet sockets with something to read or an error to report',
      THAW_PACKET_MEMBERSHIPS: 'packet sockets that have asked for memberships tens of thousands of times',
      THAW_PACKET_RING: 'packet sockets with rings, in a fan-out group, of the obsolete type, or that the kernel does not tell of',
    },
  },

  recognises: (seen) => socketOf(seen)?.family === AF_PACKET,

  collect(seen) {
    const type = socketOf(seen)?.type ?? 0
    const diag = readPacketDiag(seen)
    if (diag === undefined || type === SOCK_PACKET || diag.hasRing || diag.fansOut) throw refused(seen, type, diag)
    if ((native.poll(seen.duplicate(), POLLIN, 0) & (POLLIN | POLLERR)) !== 0)
      throw refusal(
        seen,
        'THAW_PACKET_QUEUE',
        'is a packet socket with packets that it has not read yet, or an error to report',
        'Let it read them before the checkpoint, or close it.',
      )
    if (!areCountable(diag.memberships))
      throw refusal(
        seen,
        'THAW_PACKET_MEMBERSHIPS',
        `is a packet socket that has asked for memberships more than ${MOST_MEMBERSHIPS} times`,
        'Have it drop what it asked for twice, or close it in the warm-up.',
      )
    const name = native.getsockname(seen.duplicate())
    const view = new DataView(name.buffer, name.byteOffset)
    return {
      type,
      protocol: view.getUint16(2, true),
      interface: view.getUint32(4, true),
      copyThreshold: diag.copyThreshold,
      memberships: diag.memberships,
      options: collectOptions(seen, AF_PACKET, type, 0),
    }
  },

  verify({ memberships }, _, require) {
    require(areCountable(memberships), 'is a packet socket that has asked for memberships too often')
    require(memberships.every(
      ({ address }) => address.length <= MOST_ADDRESS_BYTES,
    ), 'is a packet socket with a membership of an address that there cannot be')
  },

  open({ type, copyThreshold, memberships, options }, emitter) {
    const { program } = emitter
    const fd = emitSocket(emitter, AF_PACKET, type, 0)
    emitOptions(program, fd, options, 'all')
    if (copyThreshold !== 0) setInt(program, fd, SOL_PACKET, PACKET_COPY_THRESH, copyThreshold)
    for (const membership of memberships) emitMembership(program, fd, membership)
    return fd
  },

  arm({ protocol, interface: index }, { program }, _placements, self) {
    if (protocol === 0 && index === 0) return
    const address = new Uint8Array(SOCKADDR_LL_BYTES)
    const view = new DataView(address.buffer)
    view.setUint16(0, AF_PACKET, true)
    view.setUint16(2, protocol, true)
    view.setUint32(4, index, true)
    program.for(`interface ${index}`, () => program.call('bind', [self, program.bundle.bytes(address), address.length]))
  },
})

const areCountable = (memberships: readonly PacketMembership[]): boolean =>
  memberships.reduce((sum, { count }) => sum + count, 0) <= MOST_MEMBERSHIPS

function refused(seen: SeenDescription, type: number, diag: PacketDiag | undefined): ReturnType<typeof refusal> {
  const what =
    type === SOCK_PACKET
      ? 'of the obsolete type SOCK_PACKET'
      : diag === undefined
        ? 'of which this kernel does not tell all (CONFIG_PACKET_DIAG)'
        : diag.hasRing
          ? 'with a ring for packets'
          : 'in a fan-out group'
  return refusal(seen, 'THAW_PACKET_RING', `is a packet socket ${what}, which is not carried`, 'Close it in the warm-up.')
}

/** struct packet_mreq; each time it is asked for counts. */
function emitMembership(program: Program, fd: Cell, { interface: index, type, address, count }: PacketMembership): void {
  const request = new Uint8Array(Math.max(LEAST_MEMBERSHIP_BYTES, 8 + address.length))
  const view = new DataView(request.buffer)
  view.setUint32(0, index, true)
  view.setUint16(4, type, true)
  view.setUint16(6, address.length, true)
  request.set(address, 8)
  const at = program.bundle.bytes(request)
  program.for(`interface ${index}`, () => {
    for (let i = 0; i < count; i++) program.call('setsockopt', [fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, at, request.length])
  })
}
