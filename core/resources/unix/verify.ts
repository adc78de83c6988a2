/** Whether the unix sockets of an image fit each other: an end that nobody is at the other end of would never be filled. */
import type { DescriptionModel } from '../../image/model.js'
import type { UnixSocket, UnixState } from '../unix-socket.js'

const STATES: readonly UnixState[] = ['unconnected', 'listening', 'connected', 'orphaned', 'waiting']

interface Index {
  readonly byInode: ReadonlyMap<number, readonly UnixSocket[]>
  /** How often a client is in a queue. */
  readonly queued: ReadonlyMap<number, number>
}

const indexes = new WeakMap<readonly DescriptionModel[], Index>()

/** Made once for all sockets of an image. */
function indexOf(descriptions: readonly DescriptionModel[]): Index {
  const known = indexes.get(descriptions)
  if (known !== undefined) return known
  const byInode = new Map<number, UnixSocket[]>()
  const queued = new Map<number, number>()
  for (const { kind, payload } of descriptions) {
    if (kind !== 'unix_socket') continue
    const socket = payload as UnixSocket
    byInode.set(socket.inode, [...(byInode.get(socket.inode) ?? []), socket])
    if (socket.state === 'listening') for (const client of socket.waiting) queued.set(client, (queued.get(client) ?? 0) + 1)
  }
  const index = { byInode, queued }
  indexes.set(descriptions, index)
  return index
}

export function verifyUnix(
  socket: UnixSocket,
  descriptions: readonly DescriptionModel[],
  isPair: (socket: UnixSocket) => boolean,
  require: (fits: boolean, otherwise: string) => void,
): void {
  const { inode, peer, state, type, waiting } = socket
  const { byInode, queued } = indexOf(descriptions)
  require(STATES.includes(state), `is a unix socket in the unknown state '${state}'`)
  require(byInode.get(inode)?.length === 1, `is a unix socket with the inode ${inode} of another`)
  require((queued.get(inode) ?? 0) ===
    (state === 'waiting' ? 1 : 0), 'is a unix socket that waits in no queue, or in one in which it does not wait')
  if (state === 'listening')
    require(waiting.every((client) => byInode.get(client)?.[0]?.state === 'waiting'), 'is a unix socket with a client that is not there')
  if (state !== 'connected') return require(peer === 0, `is a unix socket that is ${state} and has a peer`)
  const other = byInode.get(peer)?.[0]
  require(peer !== inode && other !== undefined, 'is a unix socket connected to one that is not there')
  if (other === undefined || !isPair(socket)) return
  require(other.state === 'connected' &&
    other.peer === inode &&
    other.type === type &&
    isPair(other), 'is a unix socket connected to one that is not connected to it')
}
