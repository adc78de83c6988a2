/**
 * Checkpoint of a tree, in the order of its life: survey → freeze → read from outside → parasites → cure → commit and release.
 *
 * Everything happens on the calling thread, since ptrace belongs to it. Whatever fails, the tree runs on.
 */
import { closeSync } from 'node:fs'
import { native } from '../../native/index.js'
import { CheckpointError, ThawError } from '../errors.js'
import type { ImageModel } from '../image/model.js'
import { currentMachine } from '../image/machine.js'
import { IMAGE_VERSION } from '../image/version.js'
import { collectClocks } from '../resources/clocks.js'
import type { SeenProcess } from '../resources/description.js'
import { collectDescriptions, seeDescriptors, seenTree } from '../resources/descriptors.js'
import { keepContents } from '../resources/kept-content.js'
import type { KeptContent, PlacedContent } from '../resources/kept-content.js'
import { closeSilently, takeConnections } from '../resources/tcp/silence.js'
import { familyOf } from '../restore/family.js'
import { collectMemoryFiles } from '../resources/memory-files.js'
import { SharedMemories } from '../resources/shared-memory.js'
import { collectQueues } from '../resources/sysv-queue.js'
import { collectSemaphores } from '../resources/sysv-semaphores.js'
import { collectSegments } from '../resources/sysv-segment.js'
import { shareInherited } from './inherited-pages.js'
import type { GadgetPlace } from './lent-gadgets.js'
import { isOfWhatIsGone } from './ends.js'
import { Asked } from './questions.js'
import { collectProcess } from './process.js'
import { rehearse } from './rehearsal.js'
import type { Rehearsed } from './rehearsal.js'
import { adoptSessions, outsideSessions } from './sessions.js'
import { requireRestorable } from './restorable.js'
import { hasEnded, SeizedTree, Tree } from './tree.js'
import type { TreeRoot } from './tree.js'

export interface CheckpointOptions {
  /** What becomes of the tree: it runs on (default), is left stopped (SIGSTOP), or is killed; the latter two only once the image is committed. */
  readonly then?: 'resume' | 'stop' | 'kill'
  /** Connections to the outside: refused (default), or restored as closed by the peer. */
  readonly tcp?: 'refuse' | 'close'
  /** Accept a process whose session is led from outside; it gets a session of its own. */
  readonly shellJob?: boolean
  /** Told of each step, with its start. */
  readonly onStep?: (step: string) => void
}

export interface RawCheckpoint {
  readonly model: ImageModel
  /** The contents of all pages, a memfd that the caller owns. */
  readonly pageFd: number
  readonly pageBytes: bigint
  /** From the first thread stopped to the last one released, milliseconds. */
  readonly standstillMs: number
}

const POLLIN = 1
const SIGKILL = 9
const SIGSTOP = 19
const DEATH_TIMEOUT_MS = 5000

/** Makes an image safe, on disk. */
export type Commit = (image: Omit<RawCheckpoint, 'standstillMs'>) => Promise<void>

/** @throws UnsupportedError before anything is frozen; CheckpointError, or what `commit` throws, with the tree running on */
export async function checkpointTree(
  root: TreeRoot,
  options: CheckpointOptions = {},
  commit: Commit = () => Promise.resolve(),
): Promise<RawCheckpoint> {
  const step = options.onStep ?? ((): void => undefined)
  step('survey')
  using tree = new Tree(root)
  let commits = false
  const commitLast: Commit = (image) => {
    commits = true
    return commit(image)
  }
  try {
    using rehearsed = rehearse(tree, options)
    step('freeze')
    return await freezeAndRead(tree, rehearsed, options, step, commitLast)
  } catch (error) {
    if (error instanceof ThawError) throw error
    // A full disk has nothing to do with somebody who has just ended, in a tree that runs on.
    const tellsOfTask = !commits || (error as NodeJS.ErrnoException).code === 'ESRCH'
    const ended = tellsOfTask ? tree.processes.find(hasEnded) : undefined
    if (ended !== undefined) throw endedMeanwhile(ended, error)
    throw tellsOfTask && isOfWhatIsGone(error) ? changedMeanwhile(error as Error) : error
  }
}

const endedMeanwhile = ({ pid, name }: SeenProcess, cause: unknown): CheckpointError =>
  new CheckpointError('THAW_PROCESS_DIED', `Cannot checkpoint pid ${pid} (${name}): it ended meanwhile.`, { pid, cause })

const changedMeanwhile = (cause: Error): CheckpointError =>
  new CheckpointError(
    'THAW_TREE_CHANGED',
    `Cannot checkpoint: a process or thread was gone, or had executed another program, before it could be read (${cause.message}). Checkpoint the tree when it has settled.`,
    { cause },
  )

async function freezeAndRead(
  tree: Tree,
  rehearsed: Rehearsed,
  options: CheckpointOptions,
  step: (name: string) => void,
  commit: Commit,
): Promise<RawCheckpoint> {
  const seized = new SeizedTree()
  const started = native.clockGettime(CLOCK_MONOTONIC)
  try {
    tree.seize(seized)
    const { model, placed, pageBytes: copiedBytes } = readFrozen(tree, seized, rehearsed, options, step)
    const takePages = (): Pick<RawCheckpoint, 'pageFd' | 'pageBytes'> => {
      const pageBytes = shareInherited(model, placed, rehearsed.pageFile.fd, copiedBytes)
      return { pageFd: rehearsed.pageFile.take(pageBytes), pageBytes }
    }
    const image = { model, takePages }
    return await settle(tree, seized, options.then ?? 'resume', started, image, commit, step)
  } catch (error) {
    seized.giveUp()
    throw error
  } finally {
    seized.release()
  }
}

function readFrozen(
  frozen: Tree,
  seized: SeizedTree,
  { gadgets, pageFile }: Rehearsed,
  options: CheckpointOptions,
  step: (name: string) => void,
): Omit<RawCheckpoint, 'standstillMs' | 'pageFd'> & { placed: PlacedContent[] } {
  const { processes } = frozen
  const zombies = frozen.zombies()
  const outside = outsideSessions(processes, zombies, options.shellJob ?? false)
  using seen = seeDescriptors(processes)
  const blobs: Uint8Array[] = []
  const contents: KeptContent[] = []
  const asked = new Asked()
  const afterwards: (() => void)[] = []
  const given: Parameters<typeof seenTree>[2] = {
    options: { tcp: options.tcp ?? 'refuse' },
    frozen: true,
    keepContent: (content) => contents.push(content),
    askInside: (process, ask, order) => asked.add(process, ask, order),
    afterwards: (act) => afterwards.push(act),
  }
  const tree = seenTree(processes, seen, given, blobs)
  step('descriptors')
  const descriptions = collectDescriptions(tree)
  const memoryFiles = collectMemoryFiles(tree)
  const segments = collectSegments(tree)
  step('processes')
  const collection = { tree, seen, pageFile, asked, sharedMemories: new SharedMemories(segments), end: 0n }
  let known: GadgetPlace | undefined
  const models = processes.map((process) => {
    known = gadgets.get(process.pid) ?? known
    return collectProcess(process, seized.of(process.pid), collection, known, step)
  })
  for (const act of afterwards) act()
  step('shared memory')
  const shared = collection.sharedMemories.collect(pageFile, collection.end)
  step('pages')
  pageFile.finish()
  const { placed, end: pageBytes } = keepContents(contents, pageFile.fd, shared.end)
  adoptSessions({ processes: models, zombies }, outside)
  familyOf({ processes: models, zombies })
  const [root] = processes
  if (root === undefined)
    throw new CheckpointError('THAW_PROCESS_DIED', 'Cannot checkpoint: all processes ended while they were being frozen.')
  const model = {
    formatVersion: IMAGE_VERSION,
    machine: currentMachine(),
    clocks: collectClocks(root.pid),
    processes: models,
    zombies,
    sharedMemory: shared.models,
    semaphores: collectSemaphores(tree),
    queues: collectQueues(tree),
    memoryFiles,
    descriptions,
    blobs,
  }
  return { model, pageBytes, placed }
}

const CLOCK_MONOTONIC = 1

interface Unsettled {
  readonly model: ImageModel
  takePages(): Pick<RawCheckpoint, 'pageFd' | 'pageBytes'>
}

/**
 * Lets the tree go and commits the image. One that runs on need not wait for the disk. One that is to end stands still until its
 * image is safe, and runs on if it cannot be: a full disk must not cost anybody a process.
 */
async function settle(
  { processes }: Tree,
  seized: SeizedTree,
  then: 'resume' | 'stop' | 'kill',
  started: bigint,
  { takePages, model }: Unsettled,
  commit: Commit,
  step: (name: string) => void,
): Promise<RawCheckpoint> {
  const standstill = (): number => Number(native.clockGettime(CLOCK_MONOTONIC) - started) / 1e6
  const commitPages = async (): Promise<Omit<RawCheckpoint, 'standstillMs'>> => {
    step('image')
    const image = { model, ...takePages() }
    try {
      requireRestorable(model, image.pageBytes)
      await commit(image)
      return image
    } catch (error) {
      closeSync(image.pageFd)
      throw error
    }
  }
  if (then === 'resume') {
    seized.release()
    const standstillMs = standstill()
    return { ...(await commitPages()), standstillMs }
  }
  const image = await commitPages()
  const connections =
    then === 'kill'
      ? takeConnections(
          image.model,
          processes.map(({ pidfd }) => pidfd),
        )
      : []
  // Sent while they stand still, so that it takes effect before the first instruction.
  for (const { pidfd } of processes) native.pidfdSendSignal(pidfd, then === 'kill' ? SIGKILL : SIGSTOP)
  seized.release()
  const standstillMs = standstill()
  // A restore that follows at once takes the names of its sockets and the locks on its files.
  if (then === 'kill') for (const { pidfd } of processes) native.poll(pidfd, POLLIN, DEATH_TIMEOUT_MS)
  closeSilently(connections)
  return { ...image, standstillMs }
}
