/** What stands in the receive queue of a TCP socket, looked at without repair mode. */
import { native } from '../../../native/index.js'
import type { SeenDescription } from '../description.js'
import { intBytes, intOf, SO_PEEK_OFF, SOL_SOCKET } from '../socket/option-table.js'

const FIONREAD = 0x541b
const MSG_PEEK_DONTWAIT = 0x2 | 0x40
const FROM_THE_START = -1

export function bytesUnread(seen: SeenDescription): number {
  const answer = new Uint8Array(4)
  native.ioctl(seen.duplicate(), FIONREAD, answer)
  return intOf(answer)
}

/** The socket's own peek offset, where it has one (Linux 6.9), is borrowed for the time. */
export function peekUnread(seen: SeenDescription): Uint8Array {
  const length = bytesUnread(seen)
  if (length === 0) return new Uint8Array()
  const fd = seen.duplicate()
  const offset = peekOffset(fd)
  if (offset !== FROM_THE_START) native.setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, intBytes(FROM_THE_START))
  try {
    return native.receiveMessage(fd, length, 0, MSG_PEEK_DONTWAIT)?.bytes ?? new Uint8Array()
  } finally {
    if (offset !== FROM_THE_START) native.setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, intBytes(offset))
  }
}

function peekOffset(fd: number): number {
  try {
    return intOf(native.getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, 4))
  } catch {
    return FROM_THE_START
  }
}
