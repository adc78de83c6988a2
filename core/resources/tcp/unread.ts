/** What stands in the receive queue of a TCP socket, looked at without repair mode. */
import { native } from '../../../native/index.js'
import type { SeenDescription } from '../description.js'
import { intOf } from '../socket/option-table.js'

const FIONREAD = 0x541b

export function bytesUnread(seen: SeenDescription): number {
  const answer = new Uint8Array(4)
  native.ioctl(seen.duplicate(), FIONREAD, answer)
  return intOf(answer)
}

export function peekUnread(seen: SeenDescription): Uint8Array {
  const length = bytesUnread(seen)
  if (length === 0) return new Uint8Array()
  return native.peekMessage(seen.duplicate(), undefined, length, 0, false)?.bytes ?? new Uint8Array()
}
