/**
 * Connections that a listening socket has not accepted yet: made again by their clients, in the same order. The other end of one is
 * a socket that nobody has: what its client sent into it cannot be looked at, and is refused.
 */
import { contradiction } from '../../image/contradiction.js'
import type { Emitter, SeenDescription, SeenTree } from '../description.js'
import { readCredentials } from '../credentials.js'
import { homeOf } from '../description.js'
import { field, readStatus } from '../../proc/status.js'
import type { Cell } from '../../program/bundle.js'
import { refusal } from '../refusal.js'
import { emitOptions } from '../socket/options.js'
import { socketOf } from '../socket/seen-socket.js'
import { emitShutdown } from '../socket/shutdown.js'
import { isHeldByNow } from '../tree-now.js'
import type { UnixSocket } from '../unix-socket.js'
import { asMaker } from './credentials.js'
import type { UnixMaker } from './credentials.js'
import { inodeOf, isUnixSocket, readUnixDiag } from './diag.js'
import { callWithName, printName } from './names.js'
import { mayBeInFlight } from './queue.js'

const unixSockets = (tree: SeenTree): SeenDescription[] => tree.descriptions.filter((seen) => isUnixSocket(seen))

/** Whether it has connected to a listening socket of the tree, which has not accepted that. */
export function waitsInTree(seen: SeenDescription, tree: SeenTree): boolean {
  const inode = inodeOf(seen)
  return unixSockets(tree).some((other) => socketOf(other)?.listening === true && readUnixDiag(other).clients.includes(inode))
}

/** Inodes of the clients of a listening socket, the next to be accepted first. */
export function collectWaiting(seen: SeenDescription, tree: SeenTree): number[] {
  const { clients, waiting, name } = readUnixDiag(seen)
  const isInside = (inode: number): boolean =>
    inode !== 0 && (unixSockets(tree).some((other) => inodeOf(other) === inode) || isHeldByNow(tree, `socket:[${inode}]`))
  const allInside = clients.length === waiting && clients.every(isInside)
  // One who is not found in a tree that runs may be in flight.
  if (allInside || (mayBeInFlight(tree) && !clients.includes(0))) return [...clients]
  throw refusal(
    seen,
    'THAW_UNIX_BACKLOG',
    `listens on ${printName(name ?? new Uint8Array())} and has connections that it has not accepted yet, from clients that are outside the tree or gone`,
    'Let it accept them, or close them, before the checkpoint.',
  )
}

export function refuseUnread(seen: SeenDescription, to: string): void {
  if (readUnixDiag(seen).unread === 0) return
  throw refusal(
    seen,
    'THAW_UNIX_BACKLOG',
    `is a unix socket connected ${to}, which has not accepted the connection yet, and has sent into it`,
    'Let the connection be accepted before the checkpoint.',
  )
}

/** Who has the client now: what its peer will be told, nobody is before it is accepted. */
export function clientCredentials(seen: SeenDescription): UnixMaker {
  const { pid, innerPid } = homeOf(seen)
  const status = readStatus(pid)
  const effective = (name: string): number => Number(field(status, name).trim().split(/\s+/)[1])
  return { pid: innerPid, uid: effective('Uid'), gid: effective('Gid'), groups: readCredentials(status).groups }
}

interface Client {
  readonly socket: UnixSocket
  readonly self: Cell
}

const clientsOf = (emitter: Emitter): Map<number, Client> => emitter.shared('unix-clients', '', () => new Map<number, Client>())

export function rememberClient(socket: UnixSocket, emitter: Emitter, self: Cell): void {
  clientsOf(emitter).set(socket.inode, { socket, self })
}

/** When the listening socket has its options, and all other connections through it have been made. */
export function emitWaiting(listener: UnixSocket, emitter: Emitter, fd: Cell): void {
  const { program } = emitter
  const { waiting } = listener
  if (waiting.length > 0) asMaker(emitter, listener.listened, (maker) => maker.call('listen', [fd, waiting.length]))
  for (const inode of waiting) {
    const client = clientsOf(emitter).get(inode)
    if (client === undefined) throw contradiction(`the client ${inode} of a listening socket is not there`)
    const { socket, self } = client
    asMaker(emitter, socket.connected, (maker) => callWithName(maker, 'connect', self, socket.peerAddress, socket.peerFile?.folder ?? ''))
    emitShutdown(program, self, socket.shutdown)
    emitOptions(program, self, socket.options, 'all')
  }
}
