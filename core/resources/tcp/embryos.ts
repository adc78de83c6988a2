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
import { socketsOfPort } from '../socket/inet-diag.js'
import type { InetDiag } from '../socket/inet-diag.js'

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

const CLOCK_MONOTONIC = 1
const CLOCK_MONOTONIC_COARSE = 6
const MOST_TRIES = 10
const STATES = (1 << TCP_ESTABLISHED) | (1 << TCP_CLOSE_WAIT)

/** What the ages of two may differ by though they came at once: each was taken at a tick of the kernel's clock, and so is now. */
export const ageToleranceMs = (): number => 2 * tickMs()

function tickMs(): number {
  const resolution = new Uint8Array(16)
  native.syscall('clock_getres', [CLOCK_MONOTONIC_COARSE, resolution])
  return Number(new DataView(resolution.buffer).getBigInt64(8, true)) / 1e6
}

export interface Embryos {
  /** The oldest first. */
  readonly embryos: readonly Embryo[]
  /** Those whose ages differ by less may have come in another order. */
  readonly toleranceMs: number
}

/** Each age is taken at another moment: the closest of several looks, if none is close, and what lay between its ages tells as little of their order. */
export function embryosOf(listener: SeenDescription): Embryos {
  const family = socketOf(listener)?.family ?? AF_INET
  const port = portOf(native.getsockname(listener.duplicate()))
  let closest: { readonly sockets: readonly InetDiag[]; readonly passedMs: number } | undefined
  for (let tries = 0; closest === undefined || (closest.passedMs > tickMs() && tries < MOST_TRIES); tries++) {
    const before = native.clockGettime(CLOCK_MONOTONIC)
    const sockets = socketsOfPort(listener, family, port, STATES)
    const passedMs = Number(native.clockGettime(CLOCK_MONOTONIC) - before) / 1e6
    if (closest === undefined || passedMs < closest.passedMs) closest = { sockets, passedMs }
  }
  return {
    embryos: closest.sockets.flatMap(embryoOf).toSorted((a, b) => b.ageMs - a.ageMs),
    toleranceMs: ageToleranceMs() + closest.passedMs,
  }
}

function embryoOf({ inode, state, address, peer, queuedBytes, lastDataSentMs }: InetDiag): Embryo[] {
  if (inode !== 0) return []
  const ended = state === TCP_CLOSE_WAIT
  // The end of the stream counts as a byte.
  return [{ address, client: peer, ended, unreadBytes: queuedBytes - (ended ? 1 : 0), ageMs: lastDataSentMs }]
}
