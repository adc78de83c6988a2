/** The registrations of an epoll set: fdinfo lists number, events and data; kcmp(2) tells which file each one means. */
import { native } from '../../native/index.js'
import type { SeenDescription, SeenTree } from './description.js'
import { otherEndInTree } from './other-end.js'
import { ptyOf } from './pty/seen-pty.js'
import { refusal } from './refusal.js'
import { socketOf } from './socket/seen-socket.js'
import { isUnixSocket } from './unix/diag.js'

export interface EpollItem {
  fd: number
  description: number
  events: number
  data: bigint
  /** EPOLLONESHOT that has fired and was not armed again. */
  disarmed: boolean
  /** Nothing from outside the tree makes it ready while it is restored. */
  quiet: boolean
}

const EPOLLONESHOT = 0x4000_0000
/** Always added by EPOLL_CTL_ADD and EPOLL_CTL_MOD, so that an armed registration has them. */
const EPOLLERR_HUP = 0x18
const POLL_ANYTHING = 0x27df
const KCMP_EPOLL_TFD = 7

const itemLine = /^tfd:\s*(\d+) events:\s*([0-9a-f]+) data:\s*([0-9a-f]+)\s+pos:\S+ ino:([0-9a-f]+)/

export function collectItems(seen: SeenDescription, tree: SeenTree): EpollItem[] {
  const countOf = new Map<number, number>()
  return seen.info.lines.flatMap((line) => {
    const [, number, events, data, inode] = itemLine.exec(line) ?? []
    if (number === undefined) return []
    const fd = Number(number)
    const nth = countOf.get(fd) ?? 0
    countOf.set(fd, nth + 1)
    const file = fileOf(seen, tree, fd, nth, BigInt(`0x${inode}`))
    const item = { fd, description: file.id, events: Number.parseInt(events ?? '0', 16), data: BigInt(`0x${data}`) }
    return [{ ...item, disarmed: isDisarmed(seen, tree, item, file), quiet: isQuiet(file, tree) }]
  })
}

/** @param nth of the registrations by this number, in the order of fdinfo */
function fileOf(seen: SeenDescription, tree: SeenTree, fd: number, nth: number, inode: bigint): SeenDescription {
  const atNumber = tree.descriptionOf(seen.process, fd)
  const candidates = [...(atNumber === undefined ? [] : [atNumber]), ...tree.descriptions.filter((other) => other !== atNumber)]
  const file = candidates.find((other) => other.status.inode === inode && isRegistered(seen, fd, nth, other))
  if (file !== undefined) return file
  throw refusal(
    seen,
    'THAW_EPOLL_OUTSIDE',
    `is an epoll set that watches a file registered as descriptor ${fd}, which no descriptor of the tree leads to any more`,
    'Remove it from the set before the last descriptor in the tree is closed.',
  )
}

/** struct kcmp_epoll_slot: which registration of which set. Since Linux 4.13. */
function isRegistered({ process, fd: set }: SeenDescription, fd: number, nth: number, other: SeenDescription): boolean {
  const slot = new Uint8Array(Uint32Array.of(set, fd, nth).buffer)
  try {
    return native.syscall('kcmp', [other.process.pid, process.pid, KCMP_EPOLL_TFD, other.fd, slot]) === 0n
  } catch (error) {
    // Removed meanwhile by a process that still runs.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** A registration is made disarmed by letting it fire, which needs something to be ready. */
function isDisarmed(seen: SeenDescription, tree: SeenTree, item: { fd: number; events: number }, file: SeenDescription): boolean {
  const disarmed = (item.events & EPOLLONESHOT) !== 0 && (item.events & EPOLLERR_HUP) === 0
  if (disarmed && tree.frozen && native.poll(file.duplicate(), POLL_ANYTHING, 0) === 0)
    throw refusal(
      seen,
      'THAW_EPOLL_DISARMED',
      `is an epoll set in which descriptor ${item.fd} is registered once (EPOLLONESHOT), has fired, and is not ready for anything now`,
      'Arm it again, or remove it from the set, before the checkpoint.',
    )
  return disarmed
}

function isQuiet(file: SeenDescription, tree: SeenTree): boolean {
  if (file.link.startsWith('anon_inode:')) return true
  if (file.link.startsWith('pipe:')) return otherEndInTree(file, tree) !== 'outside'
  if (ptyOf(file, tree) !== undefined) return true
  return isUnixSocket(file) && socketOf(file)?.listening === false && otherEndInTree(file, tree) !== 'outside'
}
