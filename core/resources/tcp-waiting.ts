/** TCP connections that a listener of the tree has not accepted yet: their clients' ends, which connect anew, in the order in which they wait. */
import { native } from '../../native/index.js'
import type { Cell } from '../program/bundle.js'
import { defineKind } from './description.js'
import type { DescriptionKind, Emitter } from './description.js'
import { printAddress } from './socket/address.js'
import { bindWithOptions } from './socket/emission.js'
import { AF_INET } from './socket/option-table.js'
import type { SocketOption } from './socket/options.js'
import { socketOf } from './socket/seen-socket.js'
import { placeInQueue } from './tcp/backlog.js'
import { openWithBuffers } from './tcp/buffers.js'
import type { TcpBuffers } from './tcp/buffers.js'
import { ageToleranceMs } from './tcp/embryos.js'
import { collectBuffers, collectSetOptions } from './tcp/own-options.js'
import { isConnected } from './tcp/peer.js'
import { refuseUnprivilegedRestore } from './tcp/privilege.js'

export interface TcpWaiting extends TcpBuffers {
  family: number
  /** struct sockaddr, both. */
  address: Uint8Array
  peer: Uint8Array
  /** Id of the description. */
  listener: number
  /** In its queue, from 0, of so many. */
  place: number
  places: number
  /** Shut down for writing. */
  ended: boolean
  options: SocketOption[]
}

const EINPROGRESS = 115
const POLLOUT = 4
const CONNECT_TIMEOUT_MS = 1000
const SHUT_WR = 1
/** Of the largest window, which connecting decides on. */
const WINDOW_CLAMP = '6:10'

export const tcpWaiting: DescriptionKind<unknown> = defineKind<TcpWaiting>({
  name: 'tcp_waiting',
  support: {
    topic: 'sockets',
    carried: 'TCP connections not yet accepted',
    refused: { THAW_TCP_BACKLOG: 'TCP connections that wait to be accepted and have sent data or come from outside' },
  },

  recognises: (seen, tree) => isConnected(seen) && placeInQueue(seen, tree) !== undefined,

  collect(seen, tree) {
    const queued = placeInQueue(seen, tree)
    if (queued === undefined) throw new Error('a connection that waits no longer')
    const family = socketOf(seen)?.family ?? AF_INET
    const fd = seen.duplicate()
    const { listener, position, count, ended } = queued
    const options = collectSetOptions(seen, family).filter(({ level, option }) => `${level}:${option}` !== WINDOW_CLAMP)
    const names = { address: native.getsockname(fd), peer: native.getpeername(fd) ?? new Uint8Array() }
    return { ...collectBuffers(seen), ...names, family, listener: listener.id, place: position, places: count, ended, options }
  },

  verify({ listener, place, places }, { descriptions }, require) {
    require(descriptions.some(
      ({ id, kind }) => id === listener && kind === 'tcp_listener',
    ), `is a TCP connection that waits for description ${listener}, which does not listen`)
    const queue = descriptions.flatMap(({ kind, payload }) =>
      kind === 'tcp_waiting' && (payload as TcpWaiting).listener === listener ? [payload as TcpWaiting] : [],
    )
    const isAlone = queue.filter((other) => other.place === place).length === 1
    require(queue.length === places &&
      place < places &&
      isAlone, `is a TCP connection in place ${place} of ${places}, in a queue of ${queue.length}`)
  },

  open(waiting, emitter) {
    refuseUnprivilegedRestore(emitter, waiting.family, waiting.peer)
    return openWithBuffers(emitter, waiting.family, waiting)
  },

  connect(waiting, emitter, self) {
    const queue = emitter.shared<{ waiting: TcpWaiting; self: Cell }[]>('tcp-waiting', waiting.listener, () => [])
    queue.push({ waiting, self })
    if (queue.length < waiting.places) return
    queue.sort((a, b) => a.waiting.place - b.waiting.place)
    queue.forEach((next, i) => {
      if (i > 0) pause(emitter)
      connect(next.waiting, emitter, next.self)
    })
  },
})

function connect({ address, peer, options, ended }: TcpWaiting, emitter: Emitter, fd: Cell): void {
  const { program, bundle } = emitter
  program.for(`TCP connection ${printAddress(address)} to ${printAddress(peer)}`, () => {
    bindWithOptions(emitter, fd, options, address, () => undefined)
    program.call('connect', [fd, bundle.bytes(peer), peer.length], { orErrno: EINPROGRESS })
    const pollFd = bundle.allocate(8)
    program.store(pollFd, fd, 4)
    program.store(pollFd + 4n, POLLOUT, 2)
    program.call('poll', [pollFd, 1, CONNECT_TIMEOUT_MS], { equal: 1 })
    if (ended) program.call('shutdown', [fd, SHUT_WR])
  })
}

/** So that another checkpoint can tell the order again. */
function pause({ program, bundle }: Emitter): void {
  const nanoseconds = Math.ceil(2 * ageToleranceMs() * 1e6)
  program.call('nanosleep', [bundle.words(0, nanoseconds), 0])
}
