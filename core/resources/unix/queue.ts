/** What is queued in a unix socket: read without taking it out (MSG_PEEK), with its boundaries, senders, and descriptors in flight. */
import { native } from '../../../native/index.js'
import type { Message } from '../../../native/index.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { S_IFMT, S_IFSOCK } from '../open-flags.js'
import { refusal } from '../refusal.js'
import { intBytes, intOf, SO_PASSCRED, SO_PEEK_OFF, SOL_SOCKET } from '../socket/option-table.js'
import { socketOf } from '../socket/seen-socket.js'
import { credentialsOf } from './credentials.js'
import type { UnixCredentials } from './credentials.js'
import { isUnixSocket, readUnixDiag } from './diag.js'

export interface UnixMessage {
  data: Uint8Array
  /** Ids of the descriptions in flight. */
  descriptions: number[]
  /** sun_path of the sender of a datagram; empty: it has no name. */
  sender: Uint8Array
  /** What SO_PASSCRED shows; null for a message that was sent without. */
  credentials: UnixCredentials | null
}

const SOCK_STREAM = 1
const POLLERR = 8
const FIONREAD = 0x541b
const MSG_PEEK = 0x2
const MSG_DONTWAIT = 0x40
const PROT_NONE = 0
const PROT_READ_WRITE = 3
const MAP_PRIVATE_ANONYMOUS = 0x22
const MOST_DESCRIPTORS = 253
/** More than the largest buffer of a sender. */
const LARGEST_MESSAGE = 8 << 20
const RCV_SHUTDOWN = 1

const known = new WeakMap<SeenDescription, UnixMessage[]>()

/** What is queued, once the tree stands still. */
export function queueOf(seen: SeenDescription, tree: SeenTree): UnixMessage[] {
  const before = known.get(seen)
  if (before === undefined) refuseError(seen)
  if (before !== undefined || !tree.frozen || socketOf(seen)?.listening === true) return before ?? []
  const queue = readQueue(seen, tree)
  known.set(seen, queue)
  return queue
}

/** Of messages, unlike a stream, a look reports the error first, and so takes it away. */
function refuseError(seen: SeenDescription): void {
  if (readUnixDiag(seen).type === SOCK_STREAM || (native.poll(seen.duplicate(), 0, 0) & POLLERR) === 0) return
  throw refusal(
    seen,
    'THAW_UNIX_ERROR',
    'is a unix socket that has yet to report that its peer was closed with something unread (ECONNRESET)',
    'Let it read or send once, or close it, before the checkpoint.',
  )
}

/** Reads all queues first: what is in flight may be the other end of something, or carry more itself. */
export function discoverInFlight(tree: SeenTree): void {
  for (const seen of tree.descriptions) if (isUnixSocket(seen)) queueOf(seen, tree)
}

/** While the tree runs, queues are not read: what is not found may be in one of them. */
export function mayBeInFlight(tree: SeenTree): boolean {
  return (
    !tree.frozen &&
    tree.descriptions.some((seen) => isUnixSocket(seen) && socketOf(seen)?.listening === false && bytesIn(seen.duplicate()) > 0)
  )
}

/** The socket's own peek offset is borrowed for the time, and so is its asking for credentials: a look at a stream ends where they change. */
function readQueue(seen: SeenDescription, tree: SeenTree): UnixMessage[] {
  const { type, shutdown } = readUnixDiag(seen)
  const fd = seen.duplicate()
  const [before, passing] = [SO_PEEK_OFF, SO_PASSCRED].map((option) => native.getsockopt(fd, SOL_SOCKET, option, 4))
  const peek = (length: number, offset?: number): Message | null => {
    if (offset !== undefined) native.setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, intBytes(offset))
    return native.receiveMessage(fd, length, MOST_DESCRIPTORS, MSG_PEEK | MSG_DONTWAIT)
  }
  const keep = (message: Message, offset: number): UnixMessage => ({
    data: message.bytes,
    descriptions: describeAll(message, seen, offset, tree),
    sender: message.sender.subarray(2),
    credentials: credentialsOf(message, seen, tree),
  })
  try {
    native.setsockopt(fd, SOL_SOCKET, SO_PASSCRED, intBytes(1))
    return type === SOCK_STREAM ? readStream(fd, peek, keep) : readMessages(peek, keep, (shutdown & RCV_SHUTDOWN) !== 0)
  } finally {
    if (before !== undefined) native.setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, before)
    if (passing !== undefined) native.setsockopt(fd, SOL_SOCKET, SO_PASSCRED, passing)
  }
}

function describeAll({ descriptors }: Message, queue: SeenDescription, offset: number, tree: SeenTree): number[] {
  const onlySockets = descriptors.every((fd) => (native.statPath(`/proc/self/fd/${fd}`).mode & S_IFMT) === S_IFSOCK)
  return descriptors.map((fd, index) => tree.inFlight(fd, { queue, offset, index, count: descriptors.length, onlySockets }).id)
}

type Peek = (length: number, offset?: number) => Message | null
/** @param offset bytes before it in the queue */
type Keep = (message: Message, offset: number) => UnixMessage

/** From one message to the next the offset moves on by itself. */
function readMessages(peek: Peek, keep: Keep, shut: boolean): UnixMessage[] {
  const messages: UnixMessage[] = []
  let at = 0
  for (let message = peek(LARGEST_MESSAGE, 0); message !== null; message = peek(LARGEST_MESSAGE)) {
    // Nothing, from a socket that is shut for reading, is the end and not an empty message.
    if (shut && message.bytes.length === 0 && message.descriptors.length === 0) break
    messages.push(keep(message, at))
    at += message.bytes.length
  }
  return messages
}

/**
 * A look glues pieces together, up to the one that descriptors came with. Where they begin is not for a reader to see, but each takes room of
 * its own in what the sender may send (SIOCOUTQ, and when it is writable again).
 */
function readStream(fd: number, peek: Peek, keep: Keep): UnixMessage[] {
  const messages: UnixMessage[] = []
  const total = bytesIn(fd)
  for (let at = 0; at < total;) {
    const message = peek(total - at, at)
    if (message === null || message.bytes.length === 0) break
    const { bytes, descriptors } = message
    const starts = startsOfPieces(fd, at, bytes.length)
    starts.forEach((start, i) => {
      const end = starts[i + 1] ?? bytes.length
      messages.push(
        keep({ ...message, bytes: bytes.subarray(start, end), descriptors: end === bytes.length ? descriptors : [] }, at + start),
      )
    })
    at += bytes.length
  }
  return messages
}

/** Where the pieces begin that `length` bytes consist of, found from the last to the first. */
function startsOfPieces(fd: number, at: number, length: number): number[] {
  const starts: number[] = []
  for (let end = length; end > 0;) {
    end = piecesBefore(fd, at, end)
    starts.unshift(end)
  }
  return starts
}

function bytesIn(fd: number): number {
  const answer = new Uint8Array(4)
  native.ioctl(fd, FIONREAD, answer)
  return intOf(answer)
}

/**
 * How many bytes come before the last of the pieces that `length` bytes consist of. Pieces are copied whole or not at all: the last
 * one does not fit into memory that ends one byte too early, and the look ends before it.
 */
function piecesBefore(fd: number, at: number, length: number): number {
  const roomBytes = BigInt(Math.ceil(length / 4096) * 4096)
  const room = native.syscall('mmap', [0, roomBytes + 4096n, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0])
  try {
    const end = room + roomBytes
    native.syscall('mprotect', [end, 4096, PROT_NONE])
    native.setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, intBytes(at))
    return Number(native.syscall('recvfrom', [fd, end - BigInt(length - 1), length, MSG_PEEK | MSG_DONTWAIT, 0, 0]))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EFAULT') return 0
    throw error
  } finally {
    native.syscall('munmap', [room, roomBytes + 4096n])
  }
}
