/** Datagrams that a UDP socket has not read: looked at without taking them out, with who sent them. */
import { native } from '../../../native/index.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { refusal } from '../refusal.js'
import { hostOf, isMulticast, portOf } from '../socket/address.js'
import { AF_INET6, intOf, IPPROTO_UDP, SOL_SOCKET } from '../socket/option-table.js'
import type { SocketOption } from '../socket/options.js'
import { socketInt, socketOf } from '../socket/seen-socket.js'
import { RCV_SHUTDOWN } from '../socket/shutdown.js'
import { LARGEST_V6_PAYLOAD } from './packet.js'
import type { UdpShutdown } from './shutdown.js'

export interface Datagram {
  data: Uint8Array
  /** struct sockaddr, of the socket's own family. */
  sender: Uint8Array
}

const POLLIN = 1
const POLLERR = 8
const TIOCOUTQ = 0x5411
const FIONREAD = 0x541b
const LARGEST_DATAGRAM = 65535
const SO_REUSEADDR = 2
const SO_REUSEPORT = 15
/** Time stamps, drops, packet information, TTL, TOS, original address and their like, and segments: they tell of each datagram how it came. */
const TELLING = new Set([
  '1:29', '1:35', '1:37', '1:40', '1:41', '1:63', '1:64', '1:65', '1:75', '1:82', '0:6', '0:7', '0:8', '0:12', '0:13', '0:18', '0:20', '0:23', '0:25',
  '41:2', '41:3', '41:4', '41:5', '41:8', '41:11', '41:49', '41:51', '41:53', '41:56', '41:58', '41:66', '41:74', '41:77', '17:104',
]) // prettier-ignore

/** @throws UnsupportedError for what could not be put back as it was */
export function collectDatagrams(
  seen: SeenDescription,
  tree: SeenTree,
  options: readonly SocketOption[],
  { mask, queuedBytes }: UdpShutdown,
): Datagram[] {
  const fd = seen.duplicate()
  const events = native.poll(fd, POLLIN, 0)
  if ((events & POLLERR) !== 0)
    throw refusal(seen, 'THAW_UDP_ERROR', `${name(seen)} with an error to report`, 'Let it read that before the checkpoint.')
  if (tree.frozen && bytesHeldBack(fd) > 0)
    throw refusal(seen, 'THAW_UDP_CORK', `${name(seen)} that holds back what it is to send`, 'Let it send that before the checkpoint.')
  const isShut = (mask & RCV_SHUTDOWN) !== 0
  if ((events & POLLIN) === 0 || (isShut && queuedBytes === 0)) return []
  const why = whyNotCarried(seen, tree, options)
  if (why !== undefined) refuseQueue(seen, why)
  if (!tree.frozen) return []
  const datagrams = peekAll(fd)
  if (isShut && queuedBytes === undefined && datagrams.length === 0) return []
  if (hidesDatagram(fd, datagrams)) refuseQueue(seen, 'an empty one of which was looked at before, and is shown only once')
  const odd = datagrams.find((datagram) => !canBeSent(seen, datagram))
  if (odd !== undefined) refuseQueue(seen, `one of which is too large, or came from ${hostOf(odd.sender)}`)
  return datagrams
}

const name = (seen: SeenDescription): string => `is a UDP socket on port ${portOf(native.getsockname(seen.duplicate()))}`

function refuseQueue(seen: SeenDescription, why: string): never {
  const is = `${name(seen)} with datagrams that it has not read yet, ${why}`
  throw refusal(seen, 'THAW_UDP_QUEUE', is, 'Let it read them before the checkpoint.')
}

function whyNotCarried(seen: SeenDescription, tree: SeenTree, options: readonly SocketOption[]): string | undefined {
  const address = native.getsockname(seen.duplicate())
  if (options.some(({ level, option }) => TELLING.has(`${level}:${option}`))) return 'and which it wants to know more of than is carried'
  if (isMulticast(address)) return 'sent to a multicast group'
  const shares = socketInt(seen, SOL_SOCKET, SO_REUSEADDR) !== 0 || socketInt(seen, SOL_SOCKET, SO_REUSEPORT) !== 0
  const isNeighbour = (other: SeenDescription): boolean =>
    other !== seen && socketOf(other)?.protocol === IPPROTO_UDP && portOf(native.getsockname(other.duplicate())) === portOf(address)
  return shares && tree.descriptions.some(isNeighbour) ? 'and shares the port with other sockets' : undefined
}

/** Addresses of a link are of an interface too. */
function canBeSent(seen: SeenDescription, { data, sender }: Datagram): boolean {
  if (socketOf(seen)?.family !== AF_INET6) return true
  return data.length <= LARGEST_V6_PAYLOAD && !/^fe[89ab]/.test(hostOf(sender))
}

const bytesHeldBack = (fd: number): number => ask(fd, TIOCOUTQ)

/** FIONREAD tells the length of the first one, whether it is shown or not. */
const hidesDatagram = (fd: number, [first]: readonly Datagram[]): boolean =>
  first === undefined || (first.data.length > 0 && ask(fd, FIONREAD) === 0)

function ask(fd: number, request: number): number {
  const answer = new Uint8Array(4)
  native.ioctl(fd, request, answer)
  return intOf(answer)
}

function peekAll(fd: number): Datagram[] {
  const datagrams: Datagram[] = []
  for (let at = 0; ;) {
    const message = native.peekMessage(fd, at, LARGEST_DATAGRAM, 0, false)
    if (message === null) return datagrams
    datagrams.push({ data: message.bytes, sender: message.sender })
    at += message.bytes.length
  }
}
