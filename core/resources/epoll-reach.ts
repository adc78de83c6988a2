/** Who, outside the tree, can make ready what an epoll set watches. */
import type { SeenDescription, SeenTree } from './description.js'
import { EPOLL_LINK, registrationsOf, SIGNALFD_LINK, TIMERFD_LINK } from './epoll-items.js'
import { S_IFCHR, S_IFIFO, S_IFMT } from './open-flags.js'
import { otherEndInTree } from './other-end.js'
import { ptyOf } from './pty/seen-pty.js'
import { socketOf } from './socket/seen-socket.js'
import { isUnixSocket, readUnixDiag } from './unix/diag.js'

/** Bits: whoever shares the network, whoever shares the files, anybody, or the mere passing of time. */
export const Reach = { network: 1, files: 2, anybody: 4 } as const

const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const AF_INET = 2
const AF_INET6 = 10
/** Memory devices: random and its kin. */
const MEMORY_MAJOR = 1n

export function reachOf(file: SeenDescription, tree: SeenTree): number {
  if (file.link === EPOLL_LINK) return registrationsOf(file, tree).reduce((reach, inner) => reach | reachWithin(inner.file, tree), 0)
  if (file.link.startsWith('anon_inode:')) return file.link.includes('inotify') ? Reach.files : 0
  const type = file.status.mode & S_IFMT
  if (type === S_IFIFO) return reachOfPipe(file, tree)
  if (type === S_IFCHR) return ptyOf(file, tree) !== undefined || file.status.rdev >> 8n === MEMORY_MAJOR ? 0 : Reach.anybody
  if (isUnixSocket(file)) return reachOfUnix(file, tree)
  return socketOf(file) === undefined ? Reach.anybody : reachOfSocket(file)
}

/** Of a set in a set, nobody looks whether there is news within. */
function reachWithin(file: SeenDescription, tree: SeenTree): number {
  return file.link === TIMERFD_LINK || file.link === SIGNALFD_LINK ? Reach.anybody : reachOf(file, tree)
}

function reachOfPipe(file: SeenDescription, tree: SeenTree): number {
  if (otherEndInTree(file, tree) === 'outside') return Reach.anybody
  return file.link.startsWith('pipe:') ? 0 : Reach.files
}

function reachOfUnix(file: SeenDescription, tree: SeenTree): number {
  if (otherEndInTree(file, tree) === 'outside') return Reach.anybody
  const { type, name } = readUnixDiag(file)
  const isOpen = name !== undefined && (type === SOCK_DGRAM || socketOf(file)?.listening === true)
  return isOpen ? Reach.network | Reach.files : 0
}

/** Connections have both ends in the tree. */
function reachOfSocket(file: SeenDescription): number {
  const socket = socketOf(file)
  const isConnection = (socket?.family === AF_INET || socket?.family === AF_INET6) && socket.type === SOCK_STREAM && !socket.listening
  return isConnection ? 0 : Reach.network
}
