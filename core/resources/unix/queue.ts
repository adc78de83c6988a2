/** What is queued in a unix socket: read without taking it out (MSG_PEEK), with its boundaries, senders, and descriptors in flight. */
import { native } from '../../../native/index.js'
import type { Message } from '../../../native/index.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { S_IFMT, S_IFSOCK } from '../open-flags.js'
import { refusal } from '../refusal.js'
import { intOf } from '../socket/option-table.js'
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
const SOCK_DGRAM = 2
const POLLIN = 1
const POLLERR = 8
const FIONREAD = 0x541b
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
  if (hidesMessage(seen, queue)) throw refuseHidden(seen)
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

/**
 * Empty messages are shown to one look only (skb_set_peeked() in net/core/datagram.c). One that a look has passed over shows where nothing else does, and, of datagrams, where
 * it is the first: FIONREAD tells its length, 0.
 */
function hidesMessage(seen: SeenDescription, [first]: readonly UnixMessage[]): boolean {
  const { type, shutdown } = readUnixDiag(seen)
  if (type === SOCK_STREAM || (shutdown & RCV_SHUTDOWN) !== 0) return false
  if (first === undefined) return (native.poll(seen.duplicate(), POLLIN, 0) & POLLIN) !== 0
  return type === SOCK_DGRAM && first.data.length > 0 && bytesIn(seen.duplicate()) === 0
}

const refuseHidden = (seen: SeenDescription): Error =>
  refusal(
    seen,
    'THAW_UNIX_PEEKED',
    'is a unix socket that holds an empty message which was looked at before (MSG_PEEK, an earlier checkpoint): it is shown only once',
    'Let it read that before the checkpoint.',
  )

function readQueue(seen: SeenDescription, tree: SeenTree): UnixMessage[] {
  const { type, shutdown } = readUnixDiag(seen)
  const fd = seen.duplicate()
  const peek = (length: number, offset: number): Message | null => native.peekMessage(fd, offset, length, MOST_DESCRIPTORS, true)
  const keep = (message: Message, offset: number): UnixMessage => ({
    data: message.bytes,
    descriptions: describeAll(message, seen, offset, tree),
    sender: message.sender.subarray(2),
    credentials: credentialsOf(message, seen, tree),
  })
  return type === SOCK_STREAM ? readStream(fd, peek, keep) : readMessages(peek, keep, (shutdown & RCV_SHUTDOWN) !== 0)
}

function describeAll({ descriptors }: Message, queue: SeenDescription, offset: number, tree: SeenTree): number[] {
  const onlySockets = descriptors.every((fd) => (native.statPath(`/proc/self/fd/${fd}`).mode & S_IFMT) === S_IFSOCK)
  return descriptors.map((fd, index) => tree.inFlight(fd, { queue, offset, index, count: descriptors.length, onlySockets }).id)
}

type Peek = (length: number, offset: number) => Message | null
/** @param offset bytes before it in the queue */
type Keep = (message: Message, offset: number) => UnixMessage

function readMessages(peek: Peek, keep: Keep, shut: boolean): UnixMessage[] {
  const messages: UnixMessage[] = []
  let at = 0
  for (let message = peek(LARGEST_MESSAGE, at); message !== null; message = peek(LARGEST_MESSAGE, at)) {
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
    end = native.bytesBeforeLastPiece(fd, at, end)
    starts.unshift(end)
  }
  return starts
}

function bytesIn(fd: number): number {
  const answer = new Uint8Array(4)
  native.ioctl(fd, FIONREAD, answer)
  return intOf(answer)
}
