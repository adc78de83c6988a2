/** The registrations of an epoll set: fdinfo lists number, events and data; kcmp(2) tells which file each one means. */
import { native } from '../../native/index.js'
import { fdInfoField } from '../proc/fdinfo.js'
import type { SeenDescription, SeenTree } from './description.js'
import { O_ACCMODE, O_RDONLY, S_IFIFO, S_IFMT } from './open-flags.js'
import { refusal } from './refusal.js'
import { mayBeInFlight } from './unix/queue.js'

export interface EpollItem {
  fd: number
  description: number
  events: number
  data: bigint
  /** EPOLLONESHOT that has fired and was not armed again. */
  disarmed: boolean
  /** Disarmed, and not ready for anything. */
  unready: boolean
  /** What it is ready for, of an edge that has been reported already. */
  told: number
  /** Who else can make it ready while it is restored: see `Reach`. */
  reach: number
  /** Of a signalfd: signals that were pending, as a mask. */
  pending: bigint
}

export interface Registration {
  readonly item: EpollItem
  readonly file: SeenDescription
}

export const EPOLL_LINK = 'anon_inode:[eventpoll]'
export const TIMERFD_LINK = 'anon_inode:[timerfd]'
export const SIGNALFD_LINK = 'anon_inode:[signalfd]'
const EPOLLONESHOT = 0x4000_0000
const EPOLLET = 0x8000_0000
/** Always added by EPOLL_CTL_ADD and EPOLL_CTL_MOD, so that an armed registration has them. */
const EPOLLERR_HUP = 0x18
const POLL_ANYTHING = 0x27df
const KCMP_EPOLL_TFD = 7

/** Edge-triggered, and so in need of a look whether the edge has been reported; one that fires once is not armed any more then. */
export const isEdge = ({ events }: EpollItem): boolean => (events & EPOLLET) !== 0 && (events & EPOLLONESHOT) === 0

/** What is reported by it is not reported again. */
export const isReportedOnce = ({ events }: EpollItem): boolean => (events & (EPOLLET | EPOLLONESHOT)) !== 0

const itemLine = /^tfd:\s*(\d+) events:\s*([0-9a-f]+) data:\s*([0-9a-f]+)\s+pos:\S+ ino:([0-9a-f]+)/

/** Those that a set has registrations by, be they closed since. */
export const registeredNumbers = ({ link, info }: SeenDescription): number[] =>
  link === EPOLL_LINK ? info.lines.flatMap((line) => itemLine.exec(line)?.[1] ?? []).map(Number) : []

const known = new WeakMap<SeenDescription, readonly Registration[]>()

export function registrationsOf(seen: SeenDescription, tree: SeenTree): readonly Registration[] {
  const registrations = known.get(seen) ?? readRegistrations(seen, tree)
  known.set(seen, registrations)
  return registrations
}

function readRegistrations(seen: SeenDescription, tree: SeenTree): Registration[] {
  const countOf = new Map<number, number>()
  return seen.info.lines.flatMap((line) => {
    const [, number, eventsText, data, inode] = itemLine.exec(line) ?? []
    if (number === undefined) return []
    const fd = Number(number)
    const nth = countOf.get(fd) ?? 0
    countOf.set(fd, nth + 1)
    const file = fileOf(seen, tree, fd, nth, BigInt(`0x${inode}`))
    if (file === undefined) return []
    const events = Number.parseInt(eventsText ?? '0', 16)
    const disarmed = (events & EPOLLONESHOT) !== 0 && (events & EPOLLERR_HUP) === 0
    const unready = disarmed && isUnready(seen, tree, fd, file)
    const item = { fd, description: file.id, events, data: BigInt(`0x${data}`), disarmed, unready, told: 0, reach: 0, pending: 0n }
    return [{ item, file }]
  })
}

/**
 * Undefined where the file may be in flight: queues are not read while the tree runs.
 *
 * @param nth of the registrations by this number, in the order of fdinfo
 */
function fileOf(seen: SeenDescription, tree: SeenTree, fd: number, nth: number, inode: bigint): SeenDescription | undefined {
  const atNumber = tree.descriptionOf(seen.process, fd)
  const candidates = [...(atNumber === undefined ? [] : [atNumber]), ...tree.descriptions.filter((other) => other !== atNumber)]
  const file = candidates.find((other) => other.status.inode === inode && isRegistered(seen, fd, nth, other))
  if (file !== undefined || mayBeInFlight(tree)) return file
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

/** A registration is made disarmed by letting it fire, which needs something to be ready, or to be made ready for the moment. */
function isUnready(seen: SeenDescription, tree: SeenTree, fd: number, file: SeenDescription): boolean {
  if (!tree.frozen || isReadied(file) || native.poll(file.duplicate(), POLL_ANYTHING, 0) !== 0) return false
  if ((file.status.mode & S_IFMT) === S_IFIFO && (file.info.flags & O_ACCMODE) === O_RDONLY) return true
  throw refusal(
    seen,
    'THAW_EPOLL_DISARMED',
    `is an epoll set in which descriptor ${fd} is registered once (EPOLLONESHOT), has fired, and is not ready for anything now`,
    'Arm it again, or remove it from the set, before the checkpoint.',
  )
}

/** What is made ready in any case. Whether it is, only the process itself could tell of a signalfd, and of a set that watches one. */
function isReadied({ link, info }: SeenDescription): boolean {
  if (link === SIGNALFD_LINK) return BigInt(`0x${fdInfoField(info.lines, 'sigmask') ?? '0'}`) !== 0n
  return link === TIMERFD_LINK || link === EPOLL_LINK
}
