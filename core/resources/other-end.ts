/** Where the other end of a pipe or of a connected unix socket is: in the tree, outside, or nowhere any more. */
import { readdirSync, readlinkSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { FdInfo } from '../proc/fdinfo.js'
import type { SeenDescription, SeenTree } from './description.js'
import { O_ACCMODE, O_PATH, O_RDONLY, O_RDWR, O_WRONLY, S_IFIFO, S_IFMT, S_IFSOCK } from './open-flags.js'
import { findOutside, isHeldByNow, linkOf } from './tree-now.js'
import { isUnixSocket, readUnixDiag } from './unix/diag.js'
import { mayBeInFlight } from './unix/queue.js'
import { waitsInTree } from './unix/waiting.js'

export type OtherEnd = 'inside' | 'outside' | 'gone'

const POLLIN = 0x1
const POLLOUT = 0x4
const POLLERR = 0x8
const POLLHUP = 0x10
const SHUTDOWN_BOTH = 3
const SOCK_DGRAM = 2

export function otherEndInTree(seen: SeenDescription, tree: SeenTree): OtherEnd {
  const type = seen.status.mode & S_IFMT
  if (type === S_IFIFO) return otherEndOfPipe(seen, tree)
  if (type === S_IFSOCK && isUnixSocket(seen)) return peerOfSocket(seen, tree)
  return 'gone'
}

/** All descriptions of the same pipe or FIFO, in the order in which they are opened. */
export function endsOf(seen: SeenDescription, tree: SeenTree): SeenDescription[] {
  return tree.ofFile(seen.status).filter(({ info }) => (info.flags & O_PATH) === 0)
}

export const accessOf = ({ info }: SeenDescription): number => info.flags & O_ACCMODE

export function isHungUp(seen: SeenDescription): boolean {
  return (native.poll(seen.duplicate(), POLLIN, 0) & POLLHUP) !== 0
}

function otherEndOfPipe(seen: SeenDescription, tree: SeenTree): OtherEnd {
  const access = accessOf(seen)
  if (access === O_RDWR) return 'inside'
  const wanted = access === O_RDONLY ? O_WRONLY : O_RDONLY
  if (endsOf(seen, tree).some((end) => accessOf(end) === wanted || accessOf(end) === O_RDWR)) return 'inside'
  const isClosed = (): boolean => (access === O_RDONLY ? isHungUp(seen) : (native.poll(seen.duplicate(), POLLOUT, 0) & POLLERR) !== 0)
  if (isClosed()) return 'gone'
  // A FIFO that was opened for reading before anybody wrote does not count as hung up: only a look at everybody tells.
  if (!seen.link.startsWith('pipe:') && !isHeldOutside(seen, tree)) return 'gone'
  const isOther = ({ flags }: FdInfo): boolean => [wanted, O_RDWR].includes(flags & O_ACCMODE)
  if (mayBeInFlight(tree) || isHeldByNow(tree, seen.link, isOther)) return 'inside'
  return isOver(seen, tree, isClosed) ? 'gone' : 'outside'
}

/** While a tree that runs was asked, who had the other end may have ended, and the number may have become somebody else's. */
function isOver({ process, fd, link }: SeenDescription, tree: SeenTree, isClosed: () => boolean): boolean {
  return !tree.frozen && (linkOf(process.pid, fd) !== link || isClosed())
}

function isHeldOutside({ link }: SeenDescription, tree: SeenTree): boolean {
  return findOutside(tree, (pid) => holds(pid, link)) !== undefined
}

function holds(pid: number, link: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === link)
  } catch {
    // Gone meanwhile, or of another user.
    return false
  }
}

function peerOfSocket(seen: SeenDescription, tree: SeenTree): OtherEnd {
  const { type, peer, shutdown } = readUnixDiag(seen)
  if (peer === undefined) return 'gone'
  if (peer !== 0) {
    const isListed = tree.ofFile({ device: seen.status.device, inode: BigInt(peer) }).length > 0
    if (isListed || mayBeInFlight(tree) || isHeldByNow(tree, `socket:[${peer}]`)) return 'inside'
    return isOver(seen, tree, () => isHungUp(seen)) ? 'gone' : 'outside'
  }
  if (waitsInTree(seen, tree)) return 'inside'
  // Without an inode the peer was closed, which a datagram socket does not notice, or waits to be accepted.
  return shutdown === SHUTDOWN_BOTH || type === SOCK_DGRAM ? 'gone' : 'outside'
}
