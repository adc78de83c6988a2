/** What kind of socket a description is. */
import { native } from '../../../native/index.js'
import type { SeenDescription } from '../description.js'
import { S_IFMT, S_IFSOCK } from '../open-flags.js'
import { intOf, SOL_SOCKET } from './option-table.js'

export interface SeenSocket {
  readonly family: number
  /** SOCK_STREAM 1, SOCK_DGRAM 2, SOCK_SEQPACKET 5. */
  readonly type: number
  readonly protocol: number
  readonly listening: boolean
}

const SO_TYPE = 3
const SO_ACCEPTCONN = 30
const SO_PROTOCOL = 38
const SO_DOMAIN = 39

const known = new WeakMap<SeenDescription, SeenSocket>()

/** Undefined for what is not a socket, and for a mere path to one (O_PATH). */
export function socketOf(seen: SeenDescription): SeenSocket | undefined {
  if ((seen.status.mode & S_IFMT) !== S_IFSOCK || !seen.link.startsWith('socket:')) return undefined
  const before = known.get(seen)
  if (before !== undefined) return before
  const socket = {
    family: socketInt(seen, SOL_SOCKET, SO_DOMAIN),
    type: socketInt(seen, SOL_SOCKET, SO_TYPE),
    protocol: socketInt(seen, SOL_SOCKET, SO_PROTOCOL),
    listening: socketInt(seen, SOL_SOCKET, SO_ACCEPTCONN) !== 0,
  }
  known.set(seen, socket)
  return socket
}

export function socketInt(seen: SeenDescription, level: number, option: number): number {
  return intOf(native.getsockopt(seen.duplicate(), level, option, 4))
}
