/**
 * Room to send (SO_SNDBUF). What is queued in a unix socket takes of its sender's until it is read. The sender may have had more of it than it has by now,
 * or than a socket has by default, and may be closed: so it gets what it takes while it fills the queue.
 */
import { closeSync } from 'node:fs'
import { native } from '../../../native/index.js'
import type { Cell } from '../../program/bundle.js'
import type { Emitter } from '../description.js'
import { setInt } from '../socket/emission.js'
import { AF_UNIX, intOf, SO_BUF_LOCK, SO_SNDBUF, SOL_SOCKET } from '../socket/option-table.js'
import { emitOptions } from '../socket/options.js'
import type { SocketOption } from '../socket/options.js'
import type { UnixMessage } from './queue.js'

const SOCK_STREAM = 1
const SO_SNDBUFFORCE = 32
const EPERM = 1
const INT_BYTES = 4
/** The kernel doubles what it is asked for (socket(7)). */
const BUFFER_FACTOR = 2
/** At most, beside a buffer that is a power of two. */
const MESSAGE_OVERHEAD = 4096

/** @param options the sender's; without, it has those of a new socket */
export function withRoom(
  emitter: Emitter,
  from: Cell,
  messages: readonly UnixMessage[],
  options: readonly SocketOption[],
  fill: () => void,
): void {
  const room = roomFor(emitter, from, messages)
  const usual = usualRoom(emitter)
  if (room <= Math.min(usual, ownRoom(options) ?? usual)) return fill()
  const { program, bundle } = emitter
  const size = Math.ceil(room / BUFFER_FACTOR)
  setInt(program, from, SOL_SOCKET, SO_SNDBUF, size)
  // Beyond net.core.wmem_max. Without the privilege it stays at that, and so did a sender without it.
  const forced = new Uint8Array(Int32Array.of(size).buffer)
  program.call('setsockopt', [from, SOL_SOCKET, SO_SNDBUFFORCE, bundle.bytes(forced), INT_BYTES], { orErrno: EPERM })
  fill()
  setInt(program, from, SOL_SOCKET, SO_SNDBUF, Math.floor(usual / BUFFER_FACTOR))
  setInt(program, from, SOL_SOCKET, SO_BUF_LOCK, 0)
  // It may have had all its options already.
  emitOptions(program, from, options.filter(isRoom), 'buffers')
}

const isRoom = ({ level, option }: SocketOption): boolean => level === SOL_SOCKET && (option === SO_SNDBUF || option === SO_BUF_LOCK)

/** More than what all that a socket has sent takes, in whatever queues it is. */
function roomFor(emitter: Emitter, from: Cell, messages: readonly UnixMessage[]): number {
  const rooms = emitter.shared('unix-room', '', () => new Map<number, number>())
  const taken = messages.reduce((sum, { data }) => sum + 2 * data.length + MESSAGE_OVERHEAD, rooms.get(from.cell) ?? 0)
  rooms.set(from.cell, taken)
  return taken
}

/** What a new socket has (net.core.wmem_default). */
function usualRoom(emitter: Emitter): number {
  return emitter.shared('unix-room', 'usual', () => {
    const fresh = native.socket(AF_UNIX, SOCK_STREAM, 0)
    try {
      return intOf(native.getsockopt(fresh, SOL_SOCKET, SO_SNDBUF, INT_BYTES))
    } finally {
      closeSync(fresh)
    }
  })
}

function ownRoom(options: readonly SocketOption[]): number | undefined {
  const set = options.find(({ level, option }) => level === SOL_SOCKET && option === SO_SNDBUF)
  return set === undefined ? undefined : intOf(set.value)
}
