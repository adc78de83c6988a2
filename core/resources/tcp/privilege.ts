/** What it takes to look at a TCP connection and to make it anew: CAP_NET_ADMIN over its network, which the maker of a namespace has. */
import { closeSync } from 'node:fs'
import { native } from '../../../native/index.js'
import { UnsupportedError } from '../../errors.js'
import { homeOf } from '../description.js'
import type { Emitter, SeenDescription } from '../description.js'
import { refusal } from '../refusal.js'
import { printAddress } from '../socket/address.js'
import { intBytes, IPPROTO_TCP, SOL_SOCKET } from '../socket/option-table.js'
import { freshSocket } from '../socket/options.js'

const SOCK_STREAM = 1
const TCP_REPAIR = 19
const SO_SNDBUFFORCE = 32
const SOME_BYTES = 65536

/** @throws UnsupportedError where its sockets cannot be switched to repair mode */
export function refuseUnprivilegedReading(seen: SeenDescription, family: number): void {
  if (permitted(freshSocket(homeOf(seen).pid, family, SOCK_STREAM, IPPROTO_TCP), [[IPPROTO_TCP, TCP_REPAIR, 1]])) return
  throw refusal(
    seen,
    'THAW_TCP_PRIVILEGE',
    'is a TCP connection within the fixture, and to read it takes CAP_NET_ADMIN over its network',
    'Run as root, run the fixture in a network namespace of its own, or close the connection in the warm-up.',
  )
}

/** @throws UnsupportedError where the network is that of this process, which is not privileged in it */
export function refuseUnprivilegedRestore({ ownNetwork }: Emitter, family: number, peer: Uint8Array): void {
  if (ownNetwork) return
  const socket = native.socket(family, SOCK_STREAM, IPPROTO_TCP)
  if (permitted(socket, [[IPPROTO_TCP, TCP_REPAIR, 1], [SOL_SOCKET, SO_SNDBUFFORCE, SOME_BYTES]])) return // prettier-ignore
  throw new UnsupportedError(
    'THAW_TCP_PRIVILEGE',
    `Cannot restore a TCP connection to ${printAddress(peer)}, within the fixture: in this network that takes CAP_NET_ADMIN. Run as root, or restore with a network of its own (--network new).`,
  )
}

/** Tried on a socket that nobody else has, which is closed. */
function permitted(fd: number, options: readonly (readonly [level: number, option: number, value: number])[]): boolean {
  try {
    for (const [level, option, value] of options) native.setsockopt(fd, level, option, intBytes(value))
    return true
  } catch {
    return false
  } finally {
    closeSync(fd)
  }
}
