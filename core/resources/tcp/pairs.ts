/**
 * Connections within the tree, in programs. Both ends are made in repair mode, in which nothing is sent; once both are there they leave it, and
 * what one had not received and the ends of streams go the usual way over the loopback.
 */
import type { Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import type { Emitter } from '../description.js'
import { closeDescriptor } from '../emission.js'
import { printAddress } from '../socket/address.js'
import { emitSocket, setInt } from '../socket/emission.js'
import { intOf, IP_OPTIONS, IPPROTO_IP, IPPROTO_TCP, SO_RCVBUF, SO_REUSEADDR, SOL_SOCKET } from '../socket/option-table.js'
import { emitOptions } from '../socket/options.js'
import type { SocketOption } from '../socket/options.js'
import { isEnded, isPeerEnded, TCP_CLOSING, TCP_LAST_ACK } from '../socket/tcp-info.js'
import type { TcpConnection } from '../tcp-connection.js'
import type { TcpEnd } from './end.js'

const SOCK_STREAM = 1
const TCP_WINDOW_CLAMP = 10
const TCP_REPAIR = 19
const TCP_REPAIR_QUEUE = 20
const TCP_QUEUE_SEQ = 21
const TCP_REPAIR_OPTIONS = 22
const TCP_TIMESTAMP = 24
const TCP_REPAIR_WINDOW = 29
const REPAIR_ON = 1
/** Without a window probe (Linux 4.19). */
const REPAIR_OFF = -1
const NO_QUEUE = 0
const RECEIVE_QUEUE = 1
const SEND_QUEUE = 2
/** TCPOPT_* and the TCPI_OPT_* that tell of them. */
const MSS = 2
const WINDOW_SCALE = 3
const SACK_PERMITTED = 4
const TIMESTAMPS = 8
const HAS_TIMESTAMPS = 1
const HAS_SACK = 2
const HAS_SCALE = 4
const CHUNK_BYTES = 16384
const SHUT_RD = 0
const SHUT_WR = 1
const MSG_SEND = 0x4040 // DONTWAIT NOSIGNAL
const POLLRDHUP = 0x2000
const END_TIMEOUT_MS = 1000

interface End {
  readonly socket: TcpConnection
  readonly self: Cell
}

/** Called once per end; when the second is there, the connection is made. */
export function settleEnd(socket: TcpConnection, emitter: Emitter, self: Cell): void {
  const names = [socket.address, socket.peer].map(printAddress)
  const ends = emitter.shared<End[]>('tcp-pair', names.toSorted().join(' '), () => [])
  ends.push({ socket, self })
  const { program } = emitter
  const orphan = socket.orphanedBy === null ? undefined : closedEnd(emitter, socket, socket.orphanedBy)
  if (orphan !== undefined) ends.push(orphan)
  if (ends.length < 2) return
  program.for(`TCP connection ${names.join(' to ')}`, () => {
    for (const end of ends) makeEnd(program, end)
    for (const end of ends) leaveRepair(program, end)
    for (const { socket: { unsent }, self: fd } of ends) send(program, fd, unsent, unsent.length, MSG_SEND) // prettier-ignore
    endStreams(program, ends)
    for (const end of ends) emitOptions(program, end.self, end.socket.options.filter((option) => !isEarly(option)), 'buffers') // prettier-ignore
    if (orphan !== undefined) closeDescriptor(program, orphan.self)
  })
}

/** The end that nobody has any more: made, to end the stream, and closed again. */
function closedEnd(emitter: Emitter, { family, address, peer }: TcpConnection, end: TcpEnd): End {
  const names = { family, address: peer, peer: address }
  const socket = { ...end, ...names, deaf: false, orphanedBy: null, options: [], sendBuffer: 0, receiveBuffer: 0 }
  return { socket, self: emitSocket(emitter, family, SOCK_STREAM, IPPROTO_TCP) }
}

const is = ({ level, option }: SocketOption, wantedLevel: number, wanted: number): boolean => level === wantedLevel && option === wanted
/** The size of the receive buffer decides on the window. */
const isEarly = (option: SocketOption): boolean => is(option, SOL_SOCKET, SO_RCVBUF)
/** Repair mode has its own idea of SO_REUSEADDR, and connecting one of the largest window. */
const isLate = (option: SocketOption): boolean => is(option, SOL_SOCKET, SO_REUSEADDR) || is(option, IPPROTO_TCP, TCP_WINDOW_CLAMP)

function makeEnd(program: Program, { socket, self: fd }: End): void {
  const { bundle } = program
  const { address, peer, sendFrom, receiveFrom, received, window, options } = socket
  emitOptions(program, fd, options.filter(isEarly), 'all')
  emitOptions(program, fd, options.filter((option) => !isLate(option)), 'others') // prettier-ignore
  const set = (option: number, value: number): void => setInt(program, fd, IPPROTO_TCP, option, value)
  set(TCP_REPAIR, REPAIR_ON)
  program.call('bind', [fd, bundle.bytes(address), address.length])
  set(TCP_REPAIR_QUEUE, SEND_QUEUE)
  set(TCP_QUEUE_SEQ, sendFrom)
  set(TCP_REPAIR_QUEUE, RECEIVE_QUEUE)
  set(TCP_QUEUE_SEQ, receiveFrom)
  program.call('connect', [fd, bundle.bytes(peer), peer.length])
  const negotiated = negotiatedOptions(socket)
  program.call('setsockopt', [fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, bundle.bytes(negotiated), negotiated.length])
  if ((socket.negotiated & HAS_TIMESTAMPS) !== 0) set(TCP_TIMESTAMP, socket.timestamp)
  send(program, fd, received, CHUNK_BYTES, 0)
  program.call('setsockopt', [fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, bundle.bytes(window), window.length])
  // As they are; but the size of segments is found anew (ip_setsockopt, net/ipv4/ip_sockglue.c), which connecting did for the smallest there is.
  // The window has a say.
  const header = options.find((option) => is(option, IPPROTO_IP, IP_OPTIONS))?.value
  program.call('setsockopt', [fd, IPPROTO_IP, IP_OPTIONS, header === undefined ? 0 : bundle.bytes(header), header?.length ?? 0])
  set(TCP_REPAIR_QUEUE, NO_QUEUE)
  emitOptions(program, fd, options.filter((option) => is(option, IPPROTO_TCP, TCP_WINDOW_CLAMP)), 'all') // prettier-ignore
}

/** struct tcp_repair_opt, several. */
function negotiatedOptions({ negotiated, largestSegment, sendScale, receiveScale }: TcpConnection): Uint8Array {
  const options = [MSS, largestSegment]
  if ((negotiated & HAS_SCALE) !== 0) options.push(WINDOW_SCALE, sendScale | (receiveScale << 16))
  if ((negotiated & HAS_SACK) !== 0) options.push(SACK_PERMITTED, 0)
  if ((negotiated & HAS_TIMESTAMPS) !== 0) options.push(TIMESTAMPS, 0)
  return new Uint8Array(Uint32Array.from(options).buffer)
}

function leaveRepair(program: Program, { socket, self }: End): void {
  setInt(program, self, IPPROTO_TCP, TCP_REPAIR, REPAIR_OFF)
  const reuse = socket.options.find((option) => is(option, SOL_SOCKET, SO_REUSEADDR))
  if (reuse !== undefined) setInt(program, self, SOL_SOCKET, SO_REUSEADDR, intOf(reuse.value))
}

/** In repair mode into the queue that is chosen, where a call makes one piece; else to the peer, in one call, so that segments become as large as can be. */
function send(program: Program, fd: Cell, data: Uint8Array, chunkBytes: number, flags: number): void {
  for (let at = 0; at < data.length; at += chunkBytes) {
    const chunk = data.subarray(at, at + chunkBytes)
    program.call('sendto', [fd, program.bundle.bytes(chunk, 1), chunk.length, flags, 0, 0], { equal: chunk.length })
  }
}

/** Who shut down first decides between LAST_ACK and CLOSING. */
function endStreams(program: Program, ends: readonly End[]): void {
  const rank = ({ socket: { tcpState } }: End): number => (tcpState === TCP_LAST_ACK ? 2 : tcpState === TCP_CLOSING ? 0 : 1)
  for (const end of ends.toSorted((a, b) => rank(a) - rank(b))) {
    const { tcpState, deaf } = end.socket
    if (tcpState === TCP_LAST_ACK) awaitEnd(program, end.self)
    if (isEnded(tcpState)) program.call('shutdown', [end.self, SHUT_WR])
    if (deaf) program.call('shutdown', [end.self, SHUT_RD])
  }
  for (const { socket, self } of ends) if (isPeerEnded(socket.tcpState)) awaitEnd(program, self)
}

/** The end of the peer's stream is on its way. */
function awaitEnd(program: Program, fd: Cell): void {
  const pollFd = program.bundle.allocate(8)
  program.store(pollFd, fd, 4)
  program.store(pollFd + 4n, POLLRDHUP, 2)
  program.call('poll', [pollFd, 1, END_TIMEOUT_MS], { equal: 1 })
}
