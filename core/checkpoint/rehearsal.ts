/**
 * A look at a tree that runs: everything that can be seen of it is collected and thrown away, so that what is not carried is refused before the freeze, and
 * the code that runs in the freeze is compiled and warm by then.
 */
import { UnsupportedError } from '../errors.js'
import { collectDescriptions, seeDescriptors, seenTree } from '../resources/descriptors.js'
import { collectMemoryFiles } from '../resources/memory-files.js'
import { Refusals } from '../resources/refusal.js'
import { refuseSharedOutside } from '../resources/shared-outside.js'
import { collectQueues } from '../resources/sysv-queue.js'
import { collectSemaphores } from '../resources/sysv-semaphores.js'
import { collectSegments } from '../resources/sysv-segment.js'
import { refuseBeyondLimit } from '../restore/open-files.js'
import type { CheckpointOptions } from './checkpoint.js'
import { isOfWhatIsGone } from './ends.js'
import type { GadgetPlace } from './lent-gadgets.js'
import { PageFile } from './page-file.js'
import { rehearseProcess } from './process.js'
import { rehearseSessions } from './sessions.js'
import type { Tree } from './tree.js'

export interface Rehearsed extends Disposable {
  readonly gadgets: ReadonlyMap<number, GadgetPlace>
  readonly pageFile: PageFile
}

/**
 * What is looked at moves, so that a descriptor or a thread may be gone again, or look like something that it is not: a second look tells, with
 * those who were forked since the first.
 *
 * @throws UnsupportedError that names everything
 */
export function rehearse(tree: Tree, options: CheckpointOptions): Rehearsed {
  for (let looks = 1, ends = 0; ;) {
    try {
      tree.survey()
      return look(tree, options, looks > 1)
    } catch (error) {
      // That somebody has ended explains it, or that something was closed.
      if ((tree.forgetEnded() || isOfWhatIsGone(error)) && ends++ < MOST_ENDS) continue
      if (looks++ >= (error instanceof UnsupportedError ? 2 : MOST_LOOKS)) throw error
    }
  }
}

const MOST_LOOKS = 5
const MOST_ENDS = 64

/** Of a running tree, only what can be refused is of interest. */
const unasked = { frozen: false, keepContent: () => undefined, askInside: () => undefined, afterwards: () => undefined } as const

/** @param last what is refused now is told: all of it */
function look(surveyed: Tree, options: CheckpointOptions, last: boolean): Rehearsed {
  const { processes, init } = surveyed
  const refusals = new Refusals()
  const zombies = refusals.gather(() => surveyed.zombies())
  // A session may be led by a zombie that is refused.
  if (zombies !== undefined) refusals.gather(() => rehearseSessions(processes, zombies, options.shellJob ?? false))
  using seen = seeDescriptors(processes)
  const tree = seenTree(processes, seen, { ...unasked, init, options: { tcp: options.tcp ?? 'refuse' } }, [])
  refusals.gather(() => collectDescriptions(tree))
  refusals.gather(() => refuseBeyondLimit(tree, seen.descriptors))
  refusals.gather(() => collectSegments(tree))
  refusals.gather(() => collectSemaphores(tree))
  refusals.gather(() => collectQueues(tree))
  refusals.gather(() => collectMemoryFiles(tree))
  const gadgets = new Map<number, GadgetPlace>()
  let pageBytes = 0n
  let known: GadgetPlace | undefined
  for (const process of processes)
    refusals.gather(() => {
      const rehearsal = rehearseProcess(process, tree, known)
      gadgets.set(process.pid, (known = rehearsal.gadgets))
      pageBytes += rehearsal.pageBytes
    })
  // Of all processes that there are, the most expensive look: not as long as another one is taken anyway.
  if (!last) refusals.throw()
  refusals.gather(() => refuseSharedOutside(tree))
  refusals.throw()
  const pageFile = PageFile.reserving(pageBytes)
  return { gadgets, pageFile, [Symbol.dispose]: () => pageFile[Symbol.dispose]() }
}
