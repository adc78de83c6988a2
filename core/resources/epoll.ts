/**
 * epoll(7) sets. A registration belongs to a file and the number it was registered by; the number may have been closed since, or
 * lead to another file, while the file lives on under another number.
 */
import { native } from '../../native/index.js'
import type { DescriptionModel } from '../image/model.js'
import { defineKind } from './description.js'
import type { DescriptionKind } from './description.js'
import { emitDisarmed } from './epoll-disarmed.js'
import { collectEdges } from './epoll-edges.js'
import { EPOLL_LINK, registrationsOf } from './epoll-items.js'
import type { EpollItem } from './epoll-items.js'
import { emitControl, EPOLL_CTL_ADD } from './epoll-registration.js'
import { emitTold, isLate } from './epoll-told.js'
import { O_CLOEXEC } from './open-flags.js'

export interface Epoll {
  items: EpollItem[]
  /** struct epoll_params (busy polling), where one was set. */
  parameters: Uint8Array
}

/** _IOW(0x8A, 1) and _IOR(0x8A, 2) of 8 bytes, since Linux 6.9. */
const EPIOCSPARAMS = 0x4008_8a01
const EPIOCGPARAMS = 0x8008_8a02
/** Sets in a chain, each of which watches the next. Linux 6.18 lets it be five (EP_MAX_NESTS); how it counts has changed. */
export const MOST_NESTED: number = 8

export const epoll: DescriptionKind<unknown> = defineKind<Epoll>({
  name: 'epoll',
  support: {
    topic: 'descriptors',
    carried: 'epoll',
    conditions: [
      'Edges of an epoll set (EPOLLET) that were reported already are reported once more of what others can make ready to be read while it is restored: listeners and UDP sockets outside a network of their own, a set within a set that watches timers or signals. So they are where something else is yet to be reported, if registrations of the set have the same data, EPOLLEXCLUSIVE or a number that was closed, or another set watches the edges of this one.',
      'A process that runs on after its checkpoint is told such edges once more of terminals with something in them, and of signalfds while the signal of an interval timer is pending.',
    ],
    refused: {
      THAW_EPOLL_OUTSIDE: 'epoll sets that watch what is open nowhere any more',
      THAW_EPOLL_DISARMED:
        'epoll registrations, of other things than pipes, timers, signals and sets, that have fired once and are not ready',
    },
  },

  recognises: ({ link }) => link === EPOLL_LINK,

  collect(seen, tree) {
    const items = registrationsOf(seen, tree).map(({ item }) => item)
    if (tree.frozen) collectEdges(seen, tree)
    return { items, parameters: busyPolling(seen.duplicate()) }
  },

  verify({ items }, { descriptions }, require) {
    const byId = new Map(descriptions.map((description) => [description.id, description]))
    const registered = new Set<string>()
    for (const { fd, description } of items) {
      require(byId.has(description), `is an epoll set that watches description ${description}, which is not there`)
      require(!registered.has(`${fd} ${description}`), `is an epoll set that watches description ${description} by number ${fd} twice`)
      registered.add(`${fd} ${description}`)
    }
    require(nestsIn(items, byId) < MOST_NESTED, 'is an epoll set of sets of sets, deeper than there can be, or within itself')
  },

  open({ parameters }, emitter) {
    const { program } = emitter
    const fd = emitter.raise(program.call('epoll_create1', [O_CLOEXEC]))
    if (parameters.length > 0) program.call('ioctl', [fd, EPIOCSPARAMS, program.bundle.bytes(parameters)])
    return fd
  },

  // What it watches, or what is at a number that it watches something else by, may lead to a process.
  awaits: () => true,

  numbers: ({ items }) => items.map(({ fd }) => fd),

  needs: ({ items }) => items.map(({ description }) => description),

  place({ items }, emitter, placements, all, self) {
    const set = { emitter, fd: placements[0]?.fd ?? self, all }
    for (const item of items) if (item.disarmed) emitDisarmed(set, item)
  },

  watch({ items }, emitter, placements, all, self) {
    const set = { emitter, fd: placements[0]?.fd ?? self, all }
    const rest = emitTold(
      set,
      items.filter(({ disarmed }) => !disarmed),
    )
    for (const item of rest) emitControl(set, EPOLL_CTL_ADD, item, item.events)
  },
})

/** How many sets are below these registrations in the longest chain, as far as `MOST_NESTED`. Each set of a level is looked at once. */
function nestsIn(items: readonly EpollItem[], byId: ReadonlyMap<number, DescriptionModel>): number {
  let depth = 0
  for (let level = setsIn(items, byId); level.size > 0 && depth < MOST_NESTED; depth++)
    level = new Set([...level].flatMap((set) => [...setsIn(set.items, byId)]))
  return depth
}

const setsIn = (items: readonly EpollItem[], byId: ReadonlyMap<number, DescriptionModel>): Set<Epoll> =>
  new Set(
    items.map(({ description }) => byId.get(description)).flatMap((file) => (file?.kind === epoll.name ? [file.payload as Epoll] : [])),
  )

/** Empty where none is set, or where the kernel has none. */
function busyPolling(fd: number): Uint8Array {
  const parameters = new Uint8Array(8)
  try {
    native.ioctl(fd, EPIOCGPARAMS, parameters)
  } catch {
    return new Uint8Array()
  }
  return parameters.every((byte) => byte === 0) ? new Uint8Array() : parameters
}

/**
 * Sets that can only watch once all timers are armed and all signals pend, by id, with their turn: a set comes after those that it watches.
 */
export function turnsOfLateSets(descriptions: readonly DescriptionModel[]): ReadonlyMap<number, number> {
  const byId = new Map(descriptions.map((description) => [description.id, description]))
  const turns = new Map<number, number>()
  const early = new Set<number>()
  const turnOf = ({ id, kind, payload }: DescriptionModel): number | undefined => {
    if (kind !== epoll.name || early.has(id)) return undefined
    const known = turns.get(id)
    if (known !== undefined) return known
    const files = (payload as Epoll).items.map((item) => ({ item, file: byId.get(item.description) }))
    if (!files.some(({ item, file }) => file !== undefined && isLate(item, file.kind))) {
      early.add(id)
      return undefined
    }
    const before = files.map(({ file }) => (file === undefined ? -1 : (turnOf(file) ?? -1)))
    const turn = Math.max(...before) + 1
    turns.set(id, turn)
    return turn
  }
  for (const description of descriptions) turnOf(description)
  return turns
}
