/**
 * TCP connections. One to the outside cannot be carried; by option it comes back as a connection that the peer has reset. So does one that
 * was reset already.
 */
import { native } from '../../native/index.js'
import type { Cell } from '../program/bundle.js'
import { defineKind } from './description.js'
import type { DescriptionKind, Emitter, SeenDescription, SeenTree } from './description.js'
import { closeDescriptor } from './emission.js'
import { refusal } from './refusal.js'
import { loopbackAddress, printAddress } from './socket/address.js'
import { AF_INET, IPPROTO_TCP, SO_LINGER, SOL_SOCKET } from './socket/option-table.js'
import { emitOptions } from './socket/options.js'
import type { SocketOption } from './socket/options.js'
import { socketOf } from './socket/seen-socket.js'
import { isPeerEnded, TCP_CLOSE, TCP_LISTEN, tcpInfo } from './socket/tcp-info.js'
import { otherEnd } from './socket/inet-diag.js'
import { endsInOrder, refuseOtherError } from './tcp/over.js'
import { collectSetOptions } from './tcp/own-options.js'
import { waitsFor } from './tcp/backlog.js'
import { isTcp } from './tcp/peer.js'
import { bytesUnread, peekUnread } from './tcp/unread.js'
import { refuseUrgent } from './tcp/urgent.js'
import { isHeldByNow } from './tree-now.js'
import { mayBeInFlight } from './unix/queue.js'

export interface TcpClosed {
  family: number
  /** For the next call to report: ECONNRESET, or EPIPE behind the peer's end of the stream. */
  errorPending: boolean
  /** The peer's end of the stream came before it was reset. */
  ended: boolean
  options: SocketOption[]
  /** Came before the end. */
  unread: Uint8Array
}

const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
const SO_ERROR = 4
const SHUT_WR = 1
const POLLIN = 0x1
const POLLERR = 0x8
const POLLRDHUP = 0x2000
/** What a new connection takes in at once. */
const MOST_UNREAD = 32768
const RESET_TIMEOUT_MS = 1000
/** Largest window, pacing: what a closed connection has no use for. */
const useless: ReadonlySet<string> = new Set(['6:10', '1:47'])

const events = (seen: SeenDescription): number => native.poll(seen.duplicate(), POLLIN | POLLRDHUP, 0)

export const tcpClosed: DescriptionKind<unknown> = defineKind<TcpClosed>({
  name: 'tcp_closed',
  support: {
    topic: 'sockets',
    carried: 'TCP connections that have ended, with what is unread',
    conditions: [
      'A TCP connection that was reset has another name and default buffers.',
      'The error that such a connection has yet to report comes back as ECONNRESET, or as EPIPE where its peer had ended the stream before. It cannot be read without taking it away, and is another one where somebody outside has ended the connection (`ss --kill`), or where both ends had ended the stream.',
    ],
    refused: {
      THAW_TCP_OUTSIDE: 'TCP connections to the outside (or restored as closed, with `--tcp-close`)',
      THAW_TCP_UNREAD: 'such closed ones with more unread data than can be carried',
    },
  },

  recognises(seen) {
    if (!isTcp(seen)) return false
    const { state } = tcpInfo(seen)
    // A closed socket that never was connected has nothing to read, not even an end.
    return state !== TCP_LISTEN && (state !== TCP_CLOSE || (events(seen) & POLLRDHUP) !== 0)
  },

  collect(seen, tree) {
    const family = socketOf(seen)?.family ?? AF_INET
    const { state } = tcpInfo(seen)
    const closed = state === TCP_CLOSE
    const errorPending = !closed || (events(seen) & POLLERR) !== 0
    if (!closed) refuseConnection(seen, tree)
    else if (errorPending) refuseOtherError(seen)
    refuseUrgent(seen)
    if (bytesUnread(seen) > MOST_UNREAD) refuseUnread(seen)
    const unread = tree.frozen ? peekUnread(seen) : new Uint8Array()
    const options = collectSetOptions(seen, family).filter(({ level, option }) => !useless.has(`${level}:${option}`))
    const ended = closed ? tree.frozen && endsInOrder(seen) : isPeerEnded(state)
    return { family, errorPending, ended, options, unread }
  },

  open(closed, emitter) {
    const { program } = emitter
    const { errorPending, options } = closed
    const fd = resetConnection(closed, emitter)
    if (!errorPending) program.call('getsockopt', [fd, SOL_SOCKET, SO_ERROR, program.bundle.allocate(4), program.bundle.words(4)])
    emitOptions(program, fd, options, 'others')
    return fd
  },
})

function refuseUnread(seen: SeenDescription): never {
  throw refusal(
    seen,
    'THAW_TCP_UNREAD',
    `is a TCP connection that comes back as closed, and has ${bytesUnread(seen)} bytes that it has not read, of which ${MOST_UNREAD} can be carried`,
    'Let it read them, or close it, before the checkpoint.',
  )
}

function refuseConnection(seen: SeenDescription, tree: SeenTree): void {
  // Its other end may be what is in flight.
  if (mayBeInFlight(tree)) return
  const peer = native.getpeername(seen.duplicate())
  if (peer !== null && isOtherEndHeld(seen, peer, tree)) return
  const listener = waitsFor(seen, tree)
  if (peer !== null && listener !== undefined)
    throw refusal(
      seen,
      'THAW_TCP_BACKLOG',
      `is a TCP connection to ${printAddress(peer)}, which descriptor ${listener.fd} listens for and has not accepted yet`,
      'Let it accept the connection before the checkpoint.',
    )
  if (tree.options.tcp === 'close') return
  const is = peer === null ? 'is a TCP connection that is being made' : `is a TCP connection to ${printAddress(peer)}, outside the fixture`
  throw refusal(seen, 'THAW_TCP_OUTSIDE', is, "Close it in the warm-up, start that server inside the fixture, or pass { tcp: 'close' }.")
}

/** By a process that the tree has forked since, or one that has accepted it since. */
function isOtherEndHeld(seen: SeenDescription, peer: Uint8Array, tree: SeenTree): boolean {
  if (tree.frozen) return false
  const inode = otherEnd(seen, native.getsockname(seen.duplicate()), peer)?.inode ?? 0
  return inode !== 0 && isHeldByNow(tree, `socket:[${inode}]`)
}

/** A connection to ourselves, whose other end is closed the hard way (SO_LINGER of no seconds). */
function resetConnection({ family, unread, ended }: TcpClosed, emitter: Emitter): Cell {
  const { program } = emitter
  const { bundle } = program
  const address = loopbackAddress(family)
  const name = bundle.bytes(address)
  const nameLength = bundle.words(address.length)
  const listener = program.call('socket', [family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP])
  program.call('bind', [listener, name, address.length])
  program.call('listen', [listener, 1])
  program.call('getsockname', [listener, name, nameLength])
  const blocking = program.call('socket', [family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP])
  program.call('connect', [blocking, name, address.length])
  const peer = program.call('accept4', [listener, 0, 0, SOCK_CLOEXEC])
  if (unread.length > 0) program.call('write', [peer, bundle.bytes(unread, 1), unread.length], { equal: unread.length })
  if (ended) program.call('shutdown', [peer, SHUT_WR])
  program.call('setsockopt', [peer, SOL_SOCKET, SO_LINGER, bundle.bytes(new Uint8Array(Int32Array.of(1, 0).buffer)), 8])
  closeDescriptor(program, peer)
  closeDescriptor(program, listener)
  const fd = emitter.raise(blocking)
  // struct pollfd: that it hung up is always reported.
  const pollFd = bundle.allocate(8)
  program.store(pollFd, fd, 4)
  program.call('poll', [pollFd, 1, RESET_TIMEOUT_MS], { equal: 1 })
  return fd
}
