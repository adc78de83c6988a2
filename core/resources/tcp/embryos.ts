/**
 * Connections that a listener has not accepted yet. Nobody has a descriptor for them; what is queued in one cannot be read, and their order is
 * known only from when they came.
 */
import { native } from '../../../native/index.js'
import type { SeenDescription } from '../description.js'
import { portOf } from '../socket/address.js'
import { AF_INET } from '../socket/option-table.js'
import { socketOf } from '../socket/seen-socket.js'
import { TCP_CLOSE_WAIT, TCP_ESTABLISHED } from '../socket/tcp-info.js'
import { socketsOfPort } from './diag.js'

export interface Embryo {
  /** struct sockaddr: its own, which the client connected to, and the client's. */
  readonly address: Uint8Array
  readonly client: Uint8Array
  /** The client has shut down its end. */
  readonly ended: boolean
  readonly unreadBytes: number
  /** How long ago it came, to a few milliseconds. */
  readonly ageMs: number
}

const CLOCK_MONOTONIC_COARSE = 6
const STATES = (1 << TCP_ESTABLISHED) | (1 << TCP_CLOSE_WAIT)

/** What the ages of two may differ by though they came at once: each was taken at a tick of the kernel's clock, and so is now. */
export function ageToleranceMs(): number {
  const resolution = new Uint8Array(16)
  native.syscall('clock_getres', [CLOCK_MONOTONIC_COARSE, resolution])
  return (2 * Number(new DataView(resolution.buffer).getBigInt64(8, true))) / 1e6
}

/** The oldest first. */
export function embryosOf(listener: SeenDescription): Embryo[] {
  const family = socketOf(listener)?.family ?? AF_INET
  return socketsOfPort(listener, family, portOf(native.getsockname(listener.duplicate())), STATES)
    .filter(({ inode }) => inode === 0)
    .map(({ state, address, peer, queuedBytes, lastDataSentMs }) => {
      const ended = state === TCP_CLOSE_WAIT
      // The end of the stream counts as a byte.
      return { address, client: peer, ended, unreadBytes: queuedBytes - (ended ? 1 : 0), ageMs: lastDataSentMs }
    })
    .toSorted((a, b) => b.ageMs - a.ageMs)
}
