/** Connections between unix sockets of the tree, in programs: made as one end is opened, filled and settled when both are. */
import { contradiction } from '../../image/contradiction.js'
import type { Cell } from '../../program/bundle.js'
import type { Emitter } from '../description.js'
import { closeDescriptor, raisePair } from '../emission.js'
import { emitSocket, SOCK_FLAGS } from '../socket/emission.js'
import { AF_UNIX } from '../socket/option-table.js'
import { emitOptions } from '../socket/options.js'
import { emitShutdown } from '../socket/shutdown.js'
import type { UnixSocket } from '../unix-socket.js'
import { asksForCredentials, asMaker } from './credentials.js'
import { callWithName, emitBind } from './names.js'
import type { SocketFile } from './names.js'
import { sendMessages } from './send.js'

const SOCK_DGRAM = 2
const LONG_BACKLOG = 128

interface Pair {
  readonly own: Cell
  readonly other: Cell
  /** Ends that are connected: the one whose description was opened first comes first. */
  readonly ends: { readonly socket: UnixSocket; readonly self: Cell }[]
}

const keyOf = ({ inode, peer }: UnixSocket): number => (peer === 0 ? inode : Math.min(inode, peer))

/** The socket's end of its connection; a socket without a peer gets one, which is closed when it has sent what is queued. */
export function openEnd(socket: UnixSocket, emitter: Emitter): Cell {
  const opened = emitter.shared<{ pair?: Pair; inode?: number }>('unix-pair', keyOf(socket), () => ({}))
  if (opened.pair !== undefined) return opened.inode === socket.inode ? opened.pair.own : opened.pair.other
  const [own, other] = makePair(socket, emitter)
  opened.pair = { own, other, ends: [] }
  opened.inode = socket.inode
  return own
}

function makePair(socket: UnixSocket, emitter: Emitter): readonly [Cell, Cell] {
  const { program, bundle } = emitter
  const named = socket.type !== SOCK_DGRAM && socket.address.length + socket.peerAddress.length > 0
  if (!named) {
    const address = bundle.allocate(8)
    asMaker(emitter, socket.connected, (maker) => maker.call('socketpair', [AF_UNIX, socket.type | SOCK_FLAGS, 0, address]))
    return raisePair(emitter, address)
  }
  const own = { address: socket.address, file: socket.file }
  const peer = { address: socket.peerAddress, file: socket.peerFile }
  const [accepting, connecting] = socket.accepted ? [own, peer] : [peer, own]
  const listener = listenerFor(socket, accepting, emitter)
  const client = emitSocket(emitter, AF_UNIX, socket.type, 0)
  if (connecting.address.length > 0) emitBind(emitter, client, connecting.address, connecting.file)
  asMaker(emitter, socket.connected, (maker) => callWithName(maker, 'connect', client, accepting.address, accepting.file?.folder ?? ''))
  const accepted = emitter.raise(program.call('accept4', [listener.fd, 0, 0, SOCK_FLAGS]))
  return socket.accepted ? [accepted, client] : [client, accepted]
}

interface Listener {
  readonly fd: Cell
  /** A description of the image has it; else it served to make connections, and is closed. */
  taken: boolean
}

export function listenerFor(
  socket: UnixSocket,
  { address, file }: { address: Uint8Array; file: SocketFile | null },
  emitter: Emitter,
): Listener {
  // Relative names may be the same in several folders.
  const key = `${socket.type} ${Buffer.from(address).toString('hex')} ${file?.path ?? ''}`
  return emitter.shared('unix-listener', key, () => {
    const fd = emitSocket(emitter, AF_UNIX, socket.type, 0)
    if (address.length > 0) emitBind(emitter, fd, address, file)
    asMaker(emitter, socket.listened, (maker) => maker.call('listen', [fd, LONG_BACKLOG]))
    return { fd, taken: false }
  })
}

/** Called once per end; when the last is there, data can flow. */
export function settleEnd(socket: UnixSocket, emitter: Emitter, self: Cell): void {
  const { pair } = emitter.shared<{ pair?: Pair }>('unix-pair', keyOf(socket), () => ({}))
  if (pair === undefined) throw contradiction('the other end of a unix socket is not there')
  pair.ends.push({ socket, self })
  if (pair.ends.length < (socket.peer === 0 ? 1 : 2)) return
  const { program } = emitter
  // What a socket wants to be told of each message must be asked for before the message comes; buffers shrink after it has.
  for (const {
    self: fd,
    socket: { options },
  } of pair.ends)
    emitOptions(
      program,
      fd,
      options.filter((option) => !asksForCredentials(option)),
      'others',
    )
  for (const end of pair.ends) {
    const from = end.self === pair.own ? pair.other : pair.own
    const sender = pair.ends.find(({ self: fd }) => fd === from)
    sendMessages(emitter, { self: from, options: sender?.socket.options ?? [] }, end.socket.queue)
  }
  if (socket.peer === 0) abandon(socket, emitter, pair)
  else if (socket.type !== SOCK_DGRAM) for (const end of pair.ends) emitShutdown(program, end.self, end.socket.shutdown)
  for (const {
    self: fd,
    socket: { options },
  } of pair.ends) {
    emitOptions(program, fd, options, 'buffers')
    emitOptions(program, fd, options.filter(asksForCredentials), 'all')
  }
}

/** A peer that closes with something unread leaves ECONNRESET behind. */
function abandon({ reset }: UnixSocket, { program, bundle }: Emitter, { own, other }: Pair): void {
  if (reset) program.call('write', [own, bundle.bytes(new Uint8Array(1)), 1], { equal: 1 })
  closeDescriptor(program, other)
}
