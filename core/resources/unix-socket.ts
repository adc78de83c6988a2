/**
 * Unix sockets (unix(7)): listening, connected within the tree, left by their peer, or not connected; with names, and with what is queued.
 *
 *   open     sockets, names, connections
 *   connect  clients queue up that are not accepted; what is queued is sent by its senders; then halves are shut down and peers that are gone closed
 *   place    listeners and datagram sockets are shut down; names are taken away again where their files are gone, since by now nobody needs them any more
 */
import { closeDescriptor } from './emission.js'
import { defineKind } from './description.js'
import type { DescriptionKind } from './description.js'
import { emitOptions } from './socket/options.js'
import type { SocketOption } from './socket/options.js'
import { emitShutdown } from './socket/shutdown.js'
import { collectUnix } from './unix/collect.js'
import { openBound, rememberSender, settleDatagrams } from './unix/datagrams.js'
import { isUnixSocket } from './unix/diag.js'
import { emitAftermath, emitBind } from './unix/names.js'
import type { SocketFile } from './unix/names.js'
import { listenerFor, openEnd, settleEnd } from './unix/pairs.js'
import { asMaker } from './unix/credentials.js'
import type { UnixMaker } from './unix/credentials.js'
import type { UnixMessage } from './unix/queue.js'
import { verifyUnix } from './unix/verify.js'
import { emitWaiting, rememberClient } from './unix/waiting.js'

/** `waiting`: connected to a listening socket, which has not accepted that yet. */
export type UnixState = 'unconnected' | 'listening' | 'connected' | 'orphaned' | 'waiting'

export interface UnixSocket {
  /** SOCK_STREAM 1, SOCK_DGRAM 2, SOCK_SEQPACKET 5. */
  type: number
  inode: number
  state: UnixState
  /** sun_path as it was bound, with the null byte that ends a path; empty: no name. */
  address: Uint8Array
  file: SocketFile | null
  /** Inode of the peer in the tree; 0 without. */
  peer: number
  /** The peer is connected to this one too. */
  mutual: boolean
  /** Of a connection with names: this end was accepted, the other has connected. */
  accepted: boolean
  peerAddress: Uint8Array
  peerFile: SocketFile | null
  backlog: number
  /** Of a listening socket: inodes of the clients that wait to be accepted, in order. */
  waiting: number[]
  /** RCV_SHUTDOWN 1, SEND_SHUTDOWN 2. */
  shutdown: number
  /** ECONNRESET waits to be reported: the peer was closed with something unread. */
  reset: boolean
  options: SocketOption[]
  queue: UnixMessage[]
  /** Who listened, and who connected (or made the pair): what SO_PEERCRED and SO_PEERGROUPS show to the other side. Null where nobody in the tree knows it. */
  listened: UnixMaker | null
  connected: UnixMaker | null
}

const SOCK_DGRAM = 2

/** Datagram sockets are pairs only if connected both ways, or left by a peer without a name. */
const isPair = ({ type, state, mutual }: UnixSocket): boolean =>
  state === 'orphaned' || (state === 'connected' && (type !== SOCK_DGRAM || mutual))

/** Not before everybody has sent and connected: who is shut down sends nothing by name, takes nothing, and lets nobody connect. */
const shutsLate = (socket: UnixSocket): boolean => socket.type === SOCK_DGRAM || (!isPair(socket) && socket.state !== 'waiting')

export const unixSocket: DescriptionKind<unknown> = defineKind<UnixSocket>({
  name: 'unix_socket',
  support: {
    topic: 'sockets',
    carried: 'unix sockets with data, descriptors in flight, credentials and clients that wait to be accepted',
    conditions: [
      'Without CAP_NET_ADMIN over its network, a unix socket with an absolute name whose file was moved to another folder comes back as if the file were deleted.',
      'Where more waits in a unix socket than net.core.wmem_max lets anybody send, restoring it outside a network of its own takes CAP_NET_ADMIN, as sending it did.',
      'What was sent into a unix stream in one piece and is read in part takes, of the room to send, what the rest takes.',
      'Linux shows an empty datagram to one look only (`MSG_PEEK`), and a checkpoint is one: the original still reads it, but a second checkpoint does not see it, and is refused where that shows: where it is the first that waits.',
    ],
    refused: {
      THAW_UNIX_OUTSIDE: 'unix sockets connected to the outside',
      THAW_UNIX_BACKLOG: 'clients that wait to be accepted and have sent data or come from outside',
      THAW_UNIX_CREDENTIALS: "credentials in sockets from outside the tree's pid namespace, or in messages from outside the tree",
      THAW_UNIX_ERROR: 'unix sockets with an error that was not told yet',
      THAW_UNIX_PEEKED: 'unix sockets with an empty message that was looked at before',
      THAW_UNIX_PEER: 'datagram sockets whose peer is gone or not connected back',
      THAW_UNIX_SENDER: 'datagrams of senders outside the tree',
      THAW_UNIX_NAME_TAKEN: 'unix sockets whose name another file has',
      THAW_UNIX_FILE: 'unix sockets whose file cannot be found',
    },
  },

  recognises: (seen) => isUnixSocket(seen),

  collect: collectUnix,

  verify: (socket, { descriptions }, require) => verifyUnix(socket, descriptions, isPair, require),

  exclusion: ({ file }) => (file === null || file.current === '' ? 'none' : 'existing'),

  open(socket, emitter) {
    if (socket.state === 'listening') {
      const listener = listenerFor(socket, socket, emitter)
      listener.taken = true
      return listener.fd
    }
    if (!isPair(socket)) {
      const fd = openBound(socket, emitter)
      if (socket.state === 'waiting') rememberClient(socket, emitter, fd)
      return fd
    }
    const end = openEnd(socket, emitter)
    if (socket.type === SOCK_DGRAM && socket.address.length > 0) {
      emitBind(emitter, end, socket.address, socket.file)
      rememberSender(socket, emitter, end)
    }
    return end
  },

  awaits: ({ queue }, ids) => queue.some(({ descriptions }) => descriptions.some((id) => ids.has(id))),

  pids: ({ listened, connected }) => [listened, connected].flatMap((credentials) => credentials?.pid ?? []),

  connect(socket, emitter, self) {
    if (isPair(socket)) return settleEnd(socket, emitter, self)
    if (socket.state === 'waiting') return
    if (socket.state !== 'listening') return settleDatagrams(socket, emitter, self)
    emitOptions(emitter.program, self, socket.options, 'all')
    emitWaiting(socket, emitter, self)
    // Longer while connections were made through it. Each call writes down who made it.
    asMaker(emitter, socket.listened, (maker) => maker.call('listen', [self, socket.backlog]))
  },

  place(socket, emitter, _placements, _all, self) {
    if (shutsLate(socket)) emitShutdown(emitter.program, self, socket.shutdown)
    if (isPair(socket) && socket.type !== SOCK_DGRAM && socket.address.length + socket.peerAddress.length > 0) {
      const [address, file] = socket.accepted ? [socket.address, socket.file] : [socket.peerAddress, socket.peerFile]
      const listener = listenerFor(socket, { address, file }, emitter)
      if (!listener.taken) closeDescriptor(emitter.program, listener.fd)
      if (!listener.taken) emitAftermath(emitter, file)
      listener.taken = true
      if (!socket.accepted) emitAftermath(emitter, socket.file)
    } else {
      emitAftermath(emitter, socket.file)
    }
  },
})
