/**
 * Numbers of descriptors while a tree is restored. Its descriptions are opened above all numbers that it uses, out of the way, so all of them have to
 * fit below the hard limit on open files (getrlimit(2), RLIMIT_NOFILE) of who restores it, beside a few of ours.
 */
import { RestoreError, UnsupportedError } from '../errors.js'
import type { DescriptorModel, ImageModel, Limit } from '../image/model.js'
import type { SeenProcess, SeenTree } from '../resources/description.js'
import type { SeenDescriptor } from '../resources/descriptors.js'
import { registeredNumbers } from '../resources/epoll-items.js'
import { kindNamed } from '../resources/kinds.js'
import { collectLimits } from '../resources/limits.js'
import type { Support } from '../resources/support.js'

export const support: Support = {
  topic: 'descriptors',
  refused: { THAW_OPEN_FILES: 'trees whose descriptors come near the hard limit on open files' },
}

const LEAST = 64
/** The one that is used for moments, the template's, and those of a request. Some kinds have more than one open for a moment, which is not foreseen. */
const OURS = 1 + 3 + 7
const RLIMIT_NOFILE = 7
/** That far below its limit, a number was chosen by it: valgrind has some eight there. */
const NEAR = 64
/** The soft limit that most are born with, which is enough for most. */
const USUAL = 1024

/** The first number that no process of the tree uses, not even one that is closed, for what is registered by it. */
export function firstUnused(image: ImageModel): number {
  return above(Math.max(highestMoment(image), ...image.processes.map(({ descriptors }) => highestOf(descriptors))))
}

const highestMoment = ({ descriptions }: Pick<ImageModel, 'descriptions'>): number =>
  descriptions.reduce((highest, { kind, payload }) => Math.max(highest, ...(kindNamed(kind).numbers?.(payload) ?? [])), -1)

const highestOf = (descriptors: readonly DescriptorModel[]): number => Math.max(-1, ...descriptors.map(({ fd }) => fd))

const above = (highest: number): number => Math.max(LEAST, highest + 1)

/** Refused while the tree runs: it would be restored by somebody with the limit of the dumper. @throws UnsupportedError THAW_OPEN_FILES */
export function refuseBeyondLimit(tree: SeenTree, descriptors: readonly SeenDescriptor[]): void {
  const [first, ...others] = [...descriptors.map(({ process, fd }) => ({ process, fd })), ...registered(tree)]
  if (first === undefined) return
  const highest: Used = others.reduce((found, other) => (other.fd > found.fd ? other : found), first)
  const demand = { highest: highest.fd, descriptions: tree.descriptions.length, limit: ownLimit() }
  if (needed(demand) <= demand.limit) return
  const { pid, name } = highest.process
  const holder = { limit: hardLimit(collectLimits(pid)), count: descriptors.filter(({ process }) => process.pid === pid).length }
  throw new UnsupportedError(
    'THAW_OPEN_FILES',
    `Cannot checkpoint pid ${pid} (${name}): it has descriptor ${highest.fd}${closed(highest)}, and its tree ${demand.descriptions} open files; ${advice(demand, holder)}`,
    { pid },
  )
}

/** A number, and the process that has it, or registered something by it. */
interface Used {
  readonly process: SeenProcess
  readonly fd: number
  readonly isRegistered?: true
}

const registered = ({ descriptions }: SeenTree): Used[] =>
  descriptions.flatMap((seen) => registeredNumbers(seen).map((fd) => ({ process: seen.process, fd, isRegistered: true })))

const closed = ({ isRegistered }: Pick<Used, 'isRegistered'>): string => (isRegistered === true ? ' (closed, but in an epoll set)' : '')

/** @throws RestoreError THAW_OPEN_FILES */
export function requireOpenFiles(image: ImageModel): void {
  const { processes, descriptions } = image
  const tops = processes.map(({ descriptors, limits }) => ({
    fd: highestOf(descriptors),
    limit: hardLimit(limits),
    count: descriptors.length,
  }))
  const holder = tops.toSorted((a, b) => b.fd - a.fd)[0]
  if (holder === undefined) return
  const moment = highestMoment(image)
  const highest = Math.max(holder.fd, moment)
  const demand = { highest, descriptions: descriptions.length, limit: ownLimit() }
  if (needed(demand) > demand.limit)
    throw new RestoreError(
      'THAW_OPEN_FILES',
      `Cannot restore: the tree has descriptor ${highest}${moment > holder.fd ? closed({ isRegistered: true }) : ''}, and ${demand.descriptions} open files; ${advice(demand, holder)}`,
    )
}

interface Demand {
  readonly highest: number
  readonly descriptions: number
  /** Of who restores. */
  readonly limit: number
}

/** The process with the highest number. */
interface Holder {
  readonly limit: number
  /** How many descriptors it has. */
  readonly count: number
}

const needed = ({ highest, descriptions }: Demand): number => above(highest) + descriptions + OURS

function advice(demand: Demand, holder: Holder): string {
  const { highest, descriptions, limit } = demand
  const takes = `restoring them takes a hard limit on open files of ${needed(demand)}, which is ${limit}.`
  const lower = Math.min(USUAL, limit - descriptions - OURS)
  if (holder.limit - highest > NEAR || holder.count * 2 > lower) return `${takes} Raise it (ulimit -Hn), or close what is not needed.`
  return `${takes} That process takes numbers from the top of its own limit, as valgrind does: start it with a lower one (prlimit --nofile=${lower}).`
}

function ownLimit(): number {
  return hardLimit(collectLimits(process.pid))
}

function hardLimit(limits: readonly Limit[]): number {
  const limit = limits.find(({ resource }) => resource === RLIMIT_NOFILE)
  return limit === undefined ? Infinity : Number(limit.hard)
}
