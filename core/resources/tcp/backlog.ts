/** Whether the connections that a listener has not accepted yet can be made anew, and in which order. */
import { native } from '../../../native/index.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { refusal } from '../refusal.js'
import { isAnywhere, isLoopback, portOf, printAddress } from '../socket/address.js'
import { intOf, SOL_SOCKET } from '../socket/option-table.js'
import { socketInt } from '../socket/seen-socket.js'
import { tcpInfo } from '../socket/tcp-info.js'
import { embryosOf } from './embryos.js'
import type { Embryo, Embryos } from './embryos.js'
import { connectionNamed, isTcpListener, peerInTree, sameAddress } from './peer.js'

export interface Place {
  readonly listener: SeenDescription
  /** In the queue, from 0, of so many. */
  readonly position: number
  readonly count: number
  readonly ended: boolean
}

const SO_REUSEPORT = 15
const SIOCOUTQ = 0x5411

/** @throws UnsupportedError THAW_TCP_BACKLOG for a queue that cannot be carried */
export function refuseBacklog(listener: SeenDescription, tree: SeenTree): void {
  if (tcpInfo(listener).waiting === 0) return
  const why = whyNotCarried(listener, embryosOf(listener), tree)
  if (why === undefined) return
  const address = native.getsockname(listener.duplicate())
  throw refusal(
    listener,
    'THAW_TCP_BACKLOG',
    `listens on TCP port ${portOf(address)} and has connections that it has not accepted yet, ${why}`,
    'Let it accept them, or close them, before the checkpoint.',
  )
}

function whyNotCarried(listener: SeenDescription, { embryos, toleranceMs }: Embryos, tree: SeenTree): string | undefined {
  const port = portOf(native.getsockname(listener.duplicate()))
  if (embryos.length !== tcpInfo(listener).waiting) return 'some of which are gone again'
  const unread = embryos.find(({ unreadBytes }) => unreadBytes > 0)
  if (unread !== undefined) return `one of which (from ${printAddress(unread.client)}) has data to read`
  const stranger = embryos.find((embryo) => clientOf(embryo, tree) === undefined)
  if (stranger !== undefined) return `one of which comes from outside (${printAddress(stranger.client)})`
  if (embryos.some((embryo) => bytesToSend(clientOf(embryo, tree)) > 0)) return 'and for which data is on its way'
  const isNeighbour = (other: SeenDescription): boolean =>
    other !== listener && isTcpListener(other) && portOf(native.getsockname(other.duplicate())) === port
  if (socketInt(listener, SOL_SOCKET, SO_REUSEPORT) !== 0 && tree.descriptions.some(isNeighbour)) return 'and shares the port with others'
  const unsure = embryos.some(({ ageMs }, i) => i > 0 && (embryos[i - 1]?.ageMs ?? 0) - ageMs < toleranceMs)
  return unsure ? 'which came too soon after each other to tell their order' : undefined
}

/** The place of a client's connection in the queue of a listener of the tree that can be carried. */
export function placeInQueue(client: SeenDescription, tree: SeenTree): Place | undefined {
  const listener = waitsFor(client, tree)
  if (listener === undefined) return undefined
  const seen = embryosOf(listener)
  if (whyNotCarried(listener, seen, tree) !== undefined) return undefined
  const { embryos } = seen
  const position = embryos.findIndex((embryo) => clientOf(embryo, tree) === client)
  const embryo = embryos[position]
  return embryo === undefined ? undefined : { listener, position, count: embryos.length, ended: embryo.ended }
}

/** The listener that a connection without another end in the tree leads to. */
export function waitsFor(client: SeenDescription, tree: SeenTree): SeenDescription | undefined {
  const peer = native.getpeername(client.duplicate())
  if (peer === null || peerInTree(client, tree) !== undefined) return undefined
  return tree.descriptions.find((other) => isTcpListener(other) && reaches(peer, native.getsockname(other.duplicate())))
}

function reaches(peer: Uint8Array, listening: Uint8Array): boolean {
  if (portOf(peer) !== portOf(listening)) return false
  return sameAddress(peer, listening) || (isLoopback(peer) && isAnywhere(listening))
}

function clientOf(embryo: Embryo, tree: SeenTree): SeenDescription | undefined {
  return connectionNamed(printAddress(embryo.client), printAddress(embryo.address), tree)
}

function bytesToSend(client: SeenDescription | undefined): number {
  if (client === undefined) return 0
  const answer = new Uint8Array(4)
  native.ioctl(client.duplicate(), SIOCOUTQ, answer)
  return intOf(answer)
}
