/**
 * Both ends of a connection within the tree, read in TCP's repair mode (tcp(7), net/ipv4/tcp.c) while the tree stands still.
 *
 * What one end has received needs not be acknowledged to be restored: its peer goes on behind it, as if the acknowledgement had come.
 * What one end has not received, its peer sends again, once the connection is there.
 */
import { native } from '../../../native/index.js'
import { pause } from '../../checkpoint/pause.js'
import type { TcpState } from '../../../native/index.js'
import type { SeenDescription } from '../description.js'
import { refusal } from '../refusal.js'
import { isEnded, isPeerEnded, TCP_FIN_WAIT2, tcpInfo } from '../socket/tcp-info.js'
import type { TcpInfo } from '../socket/tcp-info.js'
import { add, distance, earlier, later } from './sequence.js'
import { urgentMark } from './urgent.js'

export interface TcpEnd {
  /** TCP_* of net/tcp_states.h. */
  tcpState: number
  /** Sequence numbers of the first byte to send, and of the first in the receive queue. */
  sendFrom: number
  receiveFrom: number
  received: Uint8Array
  /** What the peer has not received. */
  unsent: Uint8Array
  /** struct tcp_repair_window. */
  window: Uint8Array
  largestSegment: number
  /** TCPI_OPT_* of linux/tcp.h. */
  negotiated: number
  sendScale: number
  receiveScale: number
  timestamp: number
}

interface Reading {
  readonly info: TcpInfo
  readonly tcp: TcpState
}

const SETTLE_MS = 500
const ORPHAN_WINDOW = 65535

const known = new WeakMap<SeenDescription, TcpEnd>()

export function readEnd(seen: SeenDescription, peer: SeenDescription): TcpEnd {
  const before = known.get(seen)
  if (before !== undefined) return before
  const [own, other] = readBoth(seen, peer)
  const end = endOf(own, other)
  known.set(seen, end)
  known.set(peer, endOf(other, own))
  return end
}

/**
 * Of a connection whose peer was closed: as if there were one that has got everything, and has ended its stream.
 * @returns both ends
 */
export function readOrphan(seen: SeenDescription): readonly [TcpEnd, TcpEnd] {
  const own = read(seen)
  const { tcp, info } = own
  const sendSequence = tcp.receiveSequence
  const receiveSequence = writtenTo(own)
  const window = new Uint8Array(Uint32Array.of(receiveSequence, ORPHAN_WINDOW, ORPHAN_WINDOW, ORPHAN_WINDOW, receiveSequence).buffer)
  const peer: Reading = {
    tcp: { ...tcp, sendSequence, receiveSequence, window, sent: new Uint8Array(), received: new Uint8Array() },
    info: { ...info, state: TCP_FIN_WAIT2, sendScale: info.receiveScale, receiveScale: info.sendScale },
  }
  return [endOf(own, peer), endOf(peer, own)]
}

/** Packets on the loopback may still be on their way when the last thread stops: then the two ends do not fit each other. */
function readBoth(seen: SeenDescription, peer: SeenDescription): readonly [Reading, Reading] {
  const until = performance.now() + SETTLE_MS
  for (;;) {
    const own = read(seen)
    const other = read(peer)
    if (fits(own, other) && fits(other, own)) return [own, other]
    if (performance.now() > until)
      throw refusal(
        seen,
        'THAW_TCP_UNSETTLED',
        'is a TCP connection within the fixture whose ends do not agree on what was sent',
        'Try again; if it stays so, close the connection in the warm-up.',
      )
    pause(1)
  }
}

function read(seen: SeenDescription): Reading {
  try {
    return { tcp: native.readTcpState(seen.duplicate()), info: tcpInfo(seen) }
  } catch (error) {
    // More to read than there seems to be, time after time though nobody sends: a look goes on behind a mark that is the first in the queue.
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') throw urgentMark(seen)
    throw error
  }
}

/** Behind the last byte that was written, and received. */
const writtenTo = ({ tcp, info }: Reading): number => add(tcp.sendSequence, isEnded(info.state) ? -1 : 0)
const receivedTo = ({ tcp, info }: Reading): number => add(tcp.receiveSequence, isPeerEnded(info.state) ? -1 : 0)

/** What the receiver lacks must be in the sender's queue. */
function fits(sender: Reading, receiver: Reading): boolean {
  const missing = distance(receivedTo(receiver), writtenTo(sender))
  const endFits = !isPeerEnded(receiver.info.state) || (isEnded(sender.info.state) && missing === 0)
  return missing >= 0 && missing <= sender.tcp.sent.length && endFits
}

function endOf(own: Reading, peer: Reading): TcpEnd {
  const { tcp, info } = own
  const sendFrom = receivedTo(peer)
  const missing = distance(sendFrom, writtenTo(own))
  return {
    tcpState: info.state,
    sendFrom,
    receiveFrom: add(receivedTo(own), -tcp.received.length),
    received: tcp.received,
    unsent: tcp.sent.subarray(tcp.sent.length - missing),
    window: windowOf(own, peer, sendFrom),
    largestSegment: tcp.largestSegment,
    negotiated: info.options,
    sendScale: info.sendScale,
    receiveScale: info.receiveScale,
    timestamp: tcp.timestamp,
  }
}

/** struct tcp_repair_window: snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup. The edges of the windows stay where they are. */
function windowOf(own: Reading, peer: Reading, sendFrom: number): Uint8Array {
  const [sentAt = 0, sendWindow = 0, largest = 0, receiveWindow = 0, receivedAt = 0] = wordsOf(own)
  const [, , , peersWindow = 0, peersAt = 0] = wordsOf(peer)
  const acknowledged = add(writtenTo(own), -own.tcp.sent.length)
  const edge = later(add(acknowledged, sendWindow), add(peersAt, peersWindow))
  const left = Math.max(0, distance(sendFrom, edge))
  const words = [sentAt, left, Math.max(largest, left), receiveWindow, earlier(receivedAt, receivedTo(own))]
  return new Uint8Array(Uint32Array.from(words).buffer)
}

function wordsOf({ tcp: { window } }: Reading): Uint32Array {
  return new Uint32Array(window.slice().buffer)
}
