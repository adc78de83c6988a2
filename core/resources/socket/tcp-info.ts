/** TCP_INFO (struct tcp_info in linux/tcp.h). */
import { native } from '../../../native/index.js'
import type { SeenDescription } from '../description.js'
import { IPPROTO_TCP } from './option-table.js'

const TCP_INFO = 11
const TCP_INFO_BYTES = 136
const BYTES_ACKNOWLEDGED = 120
const BYTES_RECEIVED = 128

export const TCP_ESTABLISHED = 1
export const TCP_FIN_WAIT1 = 4
export const TCP_FIN_WAIT2 = 5
export const TCP_TIME_WAIT = 6
export const TCP_CLOSE = 7
export const TCP_CLOSE_WAIT = 8
export const TCP_LAST_ACK = 9
export const TCP_LISTEN = 10
export const TCP_CLOSING = 11

const hasEnded = new Set([TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_CLOSING, TCP_LAST_ACK])
const hasBeenEnded = new Set([TCP_CLOSE_WAIT, TCP_CLOSING, TCP_LAST_ACK])

/** Its end of the stream was sent (shutdown for writing): a FIN follows the data. */
export const isEnded = (state: number): boolean => hasEnded.has(state)
/** The peer's end of the stream has come. */
export const isPeerEnded = (state: number): boolean => hasBeenEnded.has(state)

export interface TcpInfo {
  /** TCP_* of net/tcp_states.h. */
  readonly state: number
  /** TCPI_OPT_*: what was negotiated. */
  readonly options: number
  readonly sendScale: number
  readonly receiveScale: number
  /** Of a listening socket: connections that wait to be accepted, and how many may. */
  readonly waiting: number
  readonly backlog: number
  /** Unanswered so far: packets sent once more, and questions whether the peer is there. */
  readonly unanswered: number
  /** All that was acknowledged, of who has connected the beginning, too. */
  readonly bytesAcknowledged: bigint
  /** All that has come so far, its end too. */
  readonly bytesReceived: bigint
}

export function tcpInfo(seen: SeenDescription): TcpInfo {
  const bytes = native.getsockopt(seen.duplicate(), IPPROTO_TCP, TCP_INFO, TCP_INFO_BYTES)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const scales = view.getUint8(6)
  return {
    state: view.getUint8(0),
    options: view.getUint8(5),
    sendScale: scales & 0xf,
    receiveScale: scales >> 4,
    // A listening socket says its queue where others count packets: tcpi_unacked, tcpi_sacked.
    waiting: view.getUint32(24, true),
    backlog: view.getUint32(28, true),
    // tcpi_retransmits, tcpi_probes
    unanswered: view.getUint8(2) + view.getUint8(3),
    bytesAcknowledged: view.getBigUint64(BYTES_ACKNOWLEDGED, true),
    bytesReceived: view.getBigUint64(BYTES_RECEIVED, true),
  }
}
