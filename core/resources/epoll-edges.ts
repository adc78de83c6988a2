/**
 * Edges (EPOLLET) that an epoll set has reported already, though what it watches is still ready: they are not to be reported again. The kernel
 * tells only whether anything is yet to be reported. Where something is, the process itself takes it all, and puts it back.
 */
import { native } from '../../native/index.js'
import type { ParasiteResults } from '../checkpoint/parasite.js'
import { field, readStatus } from '../proc/status.js'
import type { Program } from '../program/program.js'
import { pollNow } from '../program/waiting.js'
import type { SeenDescription, SeenTree } from './description.js'
import { emitTakeAndPutBack } from './epoll-take.js'
import type { Taken } from './epoll-take.js'
import { EPOLL_LINK, isEdge, isReportedOnce, registrationsOf, SIGNALFD_LINK } from './epoll-items.js'
import type { Registration } from './epoll-items.js'
import { reachOf } from './epoll-reach.js'

const POLLIN = 1
const EPOLLEXCLUSIVE = 0x1000_0000
const EPOLLWAKEUP = 0x2000_0000
/** What poll(2) can be asked. */
const POLL_BITS = 0x27df

/** Notes in the registrations what has been told. */
export function collectEdges(seen: SeenDescription, tree: SeenTree): void {
  const armed = registrationsOf(seen, tree).filter(({ item }) => !item.disarmed)
  const edges = armed.filter(({ item }) => isEdge(item))
  if (edges.length === 0) return
  for (const { item, file } of edges) {
    item.reach = reachOf(file, tree)
    if (file.link === SIGNALFD_LINK) item.pending = pendingIn(seen.process.pid)
  }
  if (seen.process.receiver !== undefined) {
    const idle = native.poll(seen.duplicate(), POLLIN, 0) === 0
    for (const { item, file } of edges) item.told = idle ? readyFor(file, item.events) : 0
    return
  }
  tree.askInside(seen.process, (program) => askEdges(program, seen, tree, armed, edges))
}

const readyFor = (file: SeenDescription, events: number): number => native.poll(file.duplicate(), events & POLL_BITS, 0)

/** Of a signalfd the dumper would see its own signals, and take what it watches for not ready. */
const onlyInside = ({ link }: SeenDescription): boolean => link === SIGNALFD_LINK || link === EPOLL_LINK

function askEdges(
  program: Program,
  seen: SeenDescription,
  tree: SeenTree,
  armed: readonly Registration[],
  edges: readonly Registration[],
): (results: ParasiteResults) => void {
  const ready = new Map<Registration, (results: ParasiteResults) => number>()
  for (const registration of armed) {
    const { item, file } = registration
    const number = onlyInside(file) ? numberIn(seen, tree, registration) : undefined
    const seenOutside = onlyInside(file) ? 0 : readyFor(file, item.events)
    ready.set(registration, number === undefined ? () => seenOutside : askReady(program, number, item.events & POLL_BITS))
    if (!onlyInside(file) && seenOutside === 0) ready.delete(registration)
  }
  const something = askReady(program, seen.fd, POLLIN)
  const candidates = [...ready.keys()]
  const several = candidates.length > 1 && edges.some((edge) => ready.has(edge))
  const taken = several && canPutBack(seen, tree, armed) ? emitTakeAndPutBack(program, seen.fd, armed) : undefined
  return (results) => {
    const idle = something(results) === 0
    for (const edge of edges) edge.item.told = idle || isTaken(taken, edge, results) ? (ready.get(edge)?.(results) ?? 0) : 0
  }
}

/** True for what was not among what was still to be reported. */
const isTaken = (taken: Taken | undefined, edge: Registration, results: ParasiteResults): boolean =>
  taken !== undefined && !taken.listed(edge, results)

function askReady(program: Program, fd: number, events: number): (results: ParasiteResults) => number {
  const address = program.bundle.bytes(new Uint8Array(Uint32Array.of(fd, events).buffer))
  pollNow(program, address)
  return (results) => new DataView(results.bytes(address + 6n, 2).slice().buffer).getUint16(0, true)
}

/** A number by which the process of the set has the file. */
function numberIn(seen: SeenDescription, tree: SeenTree, { item, file }: Registration): number | undefined {
  if (tree.descriptionOf(seen.process, item.fd) === file) return item.fd
  return file.process === seen.process ? file.fd : undefined
}

/**
 * What was reported is known by its data, and is put back by EPOLL_CTL_MOD, which is news for the edges of a set that watches this one.
 */
function canPutBack(seen: SeenDescription, tree: SeenTree, armed: readonly Registration[]): boolean {
  const distinct = new Set(armed.map(({ item }) => item.data)).size === armed.length
  const possible = armed.every(
    ({ item, file }) =>
      !isReportedOnce(item) || ((item.events & (EPOLLEXCLUSIVE | EPOLLWAKEUP)) === 0 && tree.descriptionOf(seen.process, item.fd) === file),
  )
  return distinct && possible && !isWatchedForEdges(seen, tree)
}

/** By a set that watches this one, or one that watches that. */
function isWatchedForEdges(seen: SeenDescription, tree: SeenTree): boolean {
  return tree.descriptions.some(
    (other) =>
      other.link === EPOLL_LINK &&
      registrationsOf(other, tree).some(({ item, file }) => file === seen && (isEdge(item) || isWatchedForEdges(other, tree))),
  )
}

function pendingIn(pid: number): bigint {
  const status = readStatus(pid)
  return BigInt(`0x${field(status, 'SigPnd')}`) | BigInt(`0x${field(status, 'ShdPnd')}`)
}
