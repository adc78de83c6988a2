/**
 * Numbers of descriptors while a tree is restored. Its descriptions are opened above all numbers that it uses, out of the way, so all of them have to
 * fit below the hard limit on open files (getrlimit(2), RLIMIT_NOFILE) of who restores it, beside a few of ours.
 */
import { RestoreError, UnsupportedError } from '../errors.js'
import type { ImageModel } from '../image/model.js'
import type { SeenTree } from '../resources/description.js'
import type { SeenDescriptor } from '../resources/descriptors.js'
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

/** The first number that no process of the tree uses. */
export function firstUnused({ processes }: ImageModel): number {
  return above(Math.max(-1, ...processes.map(({ descriptors }) => Math.max(-1, ...descriptors.map(({ fd }) => fd)))))
}

const above = (highest: number): number => Math.max(LEAST, highest + 1)

/** Refused while the tree runs: it would be restored by somebody with the limit of the dumper. @throws UnsupportedError THAW_OPEN_FILES */
export function refuseBeyondLimit(tree: SeenTree, descriptors: readonly SeenDescriptor[]): void {
  const [first, ...others] = descriptors
  if (first === undefined) return
  const highest = others.reduce((found, other) => (other.fd > found.fd ? other : found), first)
  const needed = above(highest.fd) + tree.descriptions.length + OURS
  const limit = ownLimit()
  if (needed <= limit) return
  const { pid, name } = highest.process
  throw new UnsupportedError(
    'THAW_OPEN_FILES',
    `Cannot checkpoint pid ${pid} (${name}): it has descriptor ${highest.fd}, and its tree ${tree.descriptions.length} open files; ${advice(needed, limit)}`,
    { pid },
  )
}

/** @throws RestoreError THAW_OPEN_FILES */
export function requireOpenFiles(image: ImageModel): void {
  const needed = firstUnused(image) + image.descriptions.length + OURS
  const limit = ownLimit()
  if (needed > limit)
    throw new RestoreError(
      'THAW_OPEN_FILES',
      `Cannot restore: the tree has ${image.descriptions.length} open files; ${advice(needed, limit)}`,
    )
}

const advice = (needed: number, limit: number): string =>
  `restoring them takes a hard limit on open files of ${needed}, which is ${limit}. Raise it (ulimit -Hn), or close what is not needed.`

function ownLimit(): number {
  const limit = collectLimits(process.pid).find(({ resource }) => resource === RLIMIT_NOFILE)
  return limit === undefined ? Infinity : Number(limit.hard)
}
