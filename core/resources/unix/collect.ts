/** What a unix socket is, read from outside. */
import { native } from '../../../native/index.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { otherEndInTree } from '../other-end.js'
import { refusal } from '../refusal.js'
import { AF_UNIX } from '../socket/option-table.js'
import { collectOptions } from '../socket/options.js'
import { socketOf } from '../socket/seen-socket.js'
import type { UnixSocket, UnixState } from '../unix-socket.js'
import { collectFile } from './bound-file.js'
import { peerCredentials } from './credentials.js'
import { inodeOf, isUnixSocket, readUnixDiag } from './diag.js'
import type { UnixDiag } from './diag.js'
import { printName } from './names.js'
import { queueOf } from './queue.js'
import { clientCredentials, collectWaiting, refuseUnread, waitsInTree } from './waiting.js'

const SOCK_DGRAM = 2
const TCP_LISTEN = 10
const POLLIN = 1
const POLLERR = 8

const asText = (address: Uint8Array): string => Buffer.from(address).toString('latin1')

export function collectUnix(seen: SeenDescription, tree: SeenTree): UnixSocket {
  const { type, peer, backlog, shutdown } = readUnixDiag(seen)
  const state = stateOf(seen, tree)
  const names = namesOf(seen, tree, state)
  const socket: UnixSocket = {
    type,
    inode: inodeOf(seen),
    state,
    ...names,
    peer: state === 'connected' ? (peer ?? 0) : 0,
    backlog,
    waiting: state === 'listening' ? collectWaiting(seen, tree) : [],
    shutdown,
    reset: state === 'orphaned' && (native.poll(seen.duplicate(), POLLIN, 0) & POLLERR) !== 0,
    options: collectOptions(seen, AF_UNIX, type, 0),
    queue: queueOf(seen, tree),
    ...makersOf(seen, tree, names),
  }
  refuseStray(seen, tree, socket)
  return socket
}

type Names = Pick<UnixSocket, 'address' | 'file' | 'peerAddress' | 'peerFile' | 'mutual' | 'accepted'>

/** An accepted socket has its listener's name: so the end that has the name of a listener was accepted. */
function namesOf(seen: SeenDescription, tree: SeenTree, state: UnixState): Names {
  const diag = readUnixDiag(seen)
  const address = diag.name ?? new Uint8Array()
  const connected = state === 'connected' || state === 'orphaned' || state === 'waiting'
  const peerAddress = (connected ? native.getpeername(seen.duplicate())?.subarray(2) : undefined) ?? new Uint8Array()
  const peer = socketBeside(seen, diag.peer, tree)
  const peerDiag = peer === undefined ? undefined : readUnixDiag(peer)
  const [listeners, peerListeners] = [listenersNamed(tree, address), listenersNamed(tree, peerAddress)]
  const isFirst = inodeOf(seen) < (diag.peer ?? 0)
  // Of a tree that runs, a peer may be in flight.
  const isHidden = peer === undefined && (diag.peer ?? 0) !== 0
  const peerOwner = peerDiag === undefined ? listenerOfClient(seen, peerListeners) : (peerListeners.find(isBoundTo(peerDiag)) ?? peer)
  return {
    address,
    // Of an accepted one, it is its listener's.
    file: collectFile(seen, address, listeners.find(isBoundTo(diag)) ?? seen),
    peerAddress,
    peerFile: isHidden ? null : collectFile(seen, peerAddress, peerOwner),
    mutual: state === 'connected' && peerDiag?.peer === inodeOf(seen),
    accepted: address.length > 0 && (peerAddress.length === 0 || listeners.length > 0 || (peerListeners.length === 0 && isFirst)),
  }
}

function listenersNamed(tree: SeenTree, name: Uint8Array): SeenDescription[] {
  if (name.length === 0) return []
  const listeners = unixSockets(tree).filter((other) => socketOf(other)?.listening === true)
  return listeners.filter((listener) => asText(readUnixDiag(listener).name ?? new Uint8Array()) === asText(name))
}

/** Relative names of several may be the same, in several folders. */
const isBoundTo =
  ({ file }: UnixDiag) =>
  (listener: SeenDescription): boolean =>
    readUnixDiag(listener).file?.inode === file?.inode

/** Of the listeners with the name that it has connected to: the one that it waits for, or any when its peer is gone. */
const listenerOfClient = (client: SeenDescription, listeners: readonly SeenDescription[]): SeenDescription | undefined =>
  listeners.find((listener) => readUnixDiag(listener).clients.includes(inodeOf(client))) ?? listeners[0]

function stateOf(seen: SeenDescription, tree: SeenTree): UnixState {
  const { state, peer, type } = readUnixDiag(seen)
  if (state === TCP_LISTEN) return 'listening'
  if (peer === undefined) return 'unconnected'
  const to = native.getpeername(seen.duplicate())?.subarray(2) ?? new Uint8Array()
  const whom = to.length === 0 ? 'to a peer' : `to ${printName(to)}`
  if (peer === 0 && waitsInTree(seen, tree)) {
    refuseUnread(seen, whom)
    return 'waiting'
  }
  if (otherEndInTree(seen, tree) === 'inside') return 'connected'
  if (otherEndInTree(seen, tree) === 'gone') return 'orphaned'
  if (peer === 0 && type !== SOCK_DGRAM)
    throw refusal(
      seen,
      'THAW_UNIX_BACKLOG',
      `is a unix socket connected ${whom}, which has not accepted the connection yet`,
      'Let it accept the connection before the checkpoint.',
    )
  throw refusal(
    seen,
    'THAW_UNIX_OUTSIDE',
    `is a unix socket connected ${whom} outside the tree`,
    'Close it in the warm-up, or start that program inside the fixture.',
  )
}

/** Each side shows who made the other. */
function makersOf(seen: SeenDescription, tree: SeenTree, names: Names): Pick<UnixSocket, 'listened' | 'connected'> {
  const own = peerCredentials(seen, tree)
  const diag = readUnixDiag(seen)
  if (diag.state === TCP_LISTEN) return { listened: own, connected: null }
  const { accepted, address, peerAddress } = names
  if (diag.type === SOCK_DGRAM || address.length + peerAddress.length === 0) return { listened: null, connected: own }
  if (waitsInTree(seen, tree)) return { listened: null, connected: clientCredentials(seen) }
  const other = socketBeside(seen, diag.peer, tree)
  const others = other === undefined ? null : peerCredentials(other, tree)
  if (!accepted) return { listened: own, connected: others }
  const listener = listenersNamed(tree, address).find(isBoundTo(diag))
  return { listened: others ?? (listener === undefined ? null : peerCredentials(listener, tree)), connected: own }
}

/** All sockets are files of one file system. */
const socketBeside = ({ status }: SeenDescription, inode: number | undefined, tree: SeenTree): SeenDescription | undefined =>
  inode === undefined ? undefined : tree.ofFile({ device: status.device, inode: BigInt(inode) })[0]

const unixSockets = (tree: SeenTree): SeenDescription[] => tree.descriptions.filter((seen) => isUnixSocket(seen))

/** Datagrams and datagram peers that nobody could send or be again. */
function refuseStray(seen: SeenDescription, tree: SeenTree, { type, state, mutual, address, peerAddress, queue }: UnixSocket): void {
  if (type !== SOCK_DGRAM || mutual) return
  if (state === 'connected' && peerAddress.length === 0)
    throw refusal(
      seen,
      'THAW_UNIX_PEER',
      'is a datagram socket connected to one without a name, which is not connected to it',
      'Close it in the warm-up.',
    )
  if (state === 'orphaned' && (queue.length > 0 || peerAddress.length > 0))
    throw refusal(
      seen,
      'THAW_UNIX_PEER',
      'is a datagram socket whose peer was closed',
      'Close it in the warm-up, or let it receive what it was sent.',
    )
  const known = (sender: Uint8Array): boolean =>
    tree.descriptions.some((other) => isUnixSocket(other) && asText(readUnixDiag(other).name ?? new Uint8Array()) === asText(sender))
  const stray = queue.find(({ sender }) => (sender.length === 0 ? address.length === 0 : !known(sender)))
  if (stray !== undefined)
    throw refusal(
      seen,
      'THAW_UNIX_SENDER',
      `holds a datagram from ${printName(stray.sender) || 'a socket without a name'}, which is not in the tree`,
      'Let it receive the datagram before the checkpoint.',
    )
}
