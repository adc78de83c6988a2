/**
 * Checkpoint of a process, in the order of its life: survey → freeze → read from outside → parasite → cure → commit and release.
 *
 * Everything happens on the calling thread, since ptrace belongs to it. Whatever fails, the target runs on.
 */
import { closeSync } from 'node:fs'
import { native } from '../../native/index.js'
import { CheckpointError, ThawError, UnsupportedError } from '../errors.js'
import type { ImageModel } from '../image/model.js'
import { currentMachine } from '../image/machine.js'
import { collectDescriptions, seeDescriptors, seenTree } from '../resources/descriptors.js'
import { keepContents } from '../resources/kept-content.js'
import type { KeptContent } from '../resources/kept-content.js'
import type { SeenProcess } from '../resources/description.js'
import { collectClocks } from '../resources/clocks.js'
import { closeSilently, takeConnections } from '../resources/tcp/silence.js'
import { collectProcess, rehearseProcess } from './process.js'
import type { Rehearsal } from './process.js'
import { SeizedProcess } from './seize.js'
import { surveyProcess } from './survey.js'
import { IMAGE_VERSION } from '../image/version.js'

export interface CheckpointOptions {
  /** What becomes of the target: it runs on (default), is left stopped (SIGSTOP), or is killed; the latter two only once the image is committed. */
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

/** @throws UnsupportedError before anything is frozen; CheckpointError, or what `commit` throws, with the target running on */
export async function checkpointProcess(
  pid: number,
  options: CheckpointOptions = {},
  commit: Commit = () => Promise.resolve(),
): Promise<RawCheckpoint> {
  const step = options.onStep ?? ((): void => undefined)
  step('survey')
  const target = surveyProcess(pid, { shellJob: options.shellJob ?? false })
  try {
    const rehearsal = rehearse(target, options)
    step('freeze')
    return await freezeAndRead(target, rehearsal, options, step, commit)
  } catch (error) {
    throw error instanceof ThawError || !hasEnded(target) ? error : endedMeanwhile(target, error)
  } finally {
    closeSync(target.pidfd)
  }
}

const hasEnded = ({ pidfd }: SeenProcess): boolean => native.poll(pidfd, POLLIN, 0) !== 0

const endedMeanwhile = ({ pid, name }: SeenProcess, cause: unknown): CheckpointError =>
  new CheckpointError('THAW_PROCESS_DIED', `Cannot checkpoint pid ${pid} (${name}): it ended meanwhile.`, { pid, cause })

/**
 * Collects everything that can be seen of a running process and throws it away: what is not carried is refused here, before the freeze.
 * What is looked at moves, so that a descriptor may be gone again, or look like something that it is not: a second look tells.
 */
function rehearse(target: SeenProcess, options: CheckpointOptions): Rehearsal {
  for (let looks = 1; ; looks++) {
    try {
      return look(target, options)
    } catch (error) {
      if (looks >= (error instanceof UnsupportedError ? 2 : MOST_LOOKS)) throw error
    }
  }
}

const MOST_LOOKS = 5

function look(target: SeenProcess, options: CheckpointOptions): Rehearsal {
  using seen = seeDescriptors([target])
  const tree = seenTree([target], seen, { options: { tcp: options.tcp ?? 'refuse' }, frozen: false, keepContent: () => undefined }, [])
  collectDescriptions(tree)
  return rehearseProcess(target, tree)
}

async function freezeAndRead(
  target: SeenProcess,
  rehearsal: Rehearsal,
  options: CheckpointOptions,
  step: (name: string) => void,
  commit: Commit,
): Promise<RawCheckpoint> {
  const seized = new SeizedProcess(target.pid)
  const started = native.clockGettime(CLOCK_MONOTONIC)
  try {
    seized.seize()
    const image = readFrozen(target, seized, rehearsal, options, step)
    try {
      const standstillMs = await settle(target, seized, image.model, options.then ?? 'resume', started, () => {
        step('image')
        return commit(image)
      })
      return { ...image, standstillMs }
    } catch (error) {
      closeSync(image.pageFd)
      throw error
    }
  } finally {
    seized.release()
    rehearsal.pageFile.release()
  }
}

function readFrozen(
  target: SeenProcess,
  seized: SeizedProcess,
  rehearsal: Rehearsal,
  options: CheckpointOptions,
  step: (name: string) => void,
): Omit<RawCheckpoint, 'standstillMs'> {
  using seen = seeDescriptors([target])
  const blobs: Uint8Array[] = []
  const contents: KeptContent[] = []
  const tree = seenTree(
    [target],
    seen,
    { options: { tcp: options.tcp ?? 'refuse' }, frozen: true, keepContent: (content) => contents.push(content) },
    blobs,
  )
  step('descriptors')
  const descriptions = collectDescriptions(tree)
  step('process')
  const { model: processModel, pageBytes } = collectProcess(target, seized, seen, tree, rehearsal, step)
  const end = keepContents(contents, rehearsal.pageFile.fd, pageBytes)
  const clocks = collectClocks(target.pid)
  const model = { formatVersion: IMAGE_VERSION, machine: currentMachine(), clocks, processes: [processModel], descriptions, blobs }
  return { model, pageFd: rehearsal.pageFile.take(end), pageBytes: end }
}

const CLOCK_MONOTONIC = 1

/**
 * Lets the target go and commits the image; returns how long the target stood still. One that runs on need not wait for the disk. One that
 * is to end stands still until its image is safe, and runs on if it cannot be: a full disk must not cost anybody a process.
 */
async function settle(
  target: SeenProcess,
  seized: SeizedProcess,
  image: ImageModel,
  then: 'resume' | 'stop' | 'kill',
  started: bigint,
  commit: () => Promise<void>,
): Promise<number> {
  const standstill = (): number => Number(native.clockGettime(CLOCK_MONOTONIC) - started) / 1e6
  if (then === 'resume') {
    seized.release()
    const standstillMs = standstill()
    await commit()
    return standstillMs
  }
  await commit()
  const connections = then === 'kill' ? takeConnections(image, [target.pidfd]) : []
  // Sent while it stands still, so that it takes effect before the first instruction.
  native.pidfdSendSignal(target.pidfd, then === 'kill' ? SIGKILL : SIGSTOP)
  seized.release()
  const standstillMs = standstill()
  if (connections.length > 0) native.poll(target.pidfd, POLLIN, DEATH_TIMEOUT_MS)
  closeSilently(connections)
  return standstillMs
}
