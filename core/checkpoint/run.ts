/** Checkpoints from the outside: in a worker thread, with the image in memory or committed to a folder. */
import { fileURLToPath } from 'node:url'
import { MessageChannel } from 'node:worker_threads'
import { Tinypool } from 'tinypool'
import { CheckpointError, ImageError, ThawError, UnsupportedError } from '../errors.js'
import { Image } from '../image/image.js'
import { prepareFolder } from '../image/folder.js'
import type { CheckpointOptions } from './checkpoint.js'
import { refuseOwnChild } from './own-child.js'
import { refuseForeignProc } from './survey-entry.js'
import type { TreeRoot } from './tree.js'
import type { CheckpointJob, CheckpointOutcome } from './job.js'

export interface Checkpoint {
  readonly image: Image
  /** How long the target stood still, and how long everything took, milliseconds. */
  readonly standstillMs: number
  readonly totalMs: number
}

export interface RunOptions extends CheckpointOptions {
  /** Folder to commit the image to; else it is in memory only. */
  readonly to?: string
}

/**
 * Checkpoints a tree. @param root a pid, as this process sees it, with everything below it; or everything below the init of a sandbox
 * @throws UnsupportedError before anything is frozen; CheckpointError, ImageError with the target running on
 */
export async function checkpoint(root: TreeRoot, options: RunOptions = {}): Promise<Checkpoint> {
  refuseForeignProc()
  const started = performance.now()
  const { to, onStep, ...rest } = options
  refuseOwnChild(root)
  if (to !== undefined) prepareFolder(to)
  const { port1: steps, port2: theirs } = new MessageChannel()
  steps.on('message', (step: string) => onStep?.(step))
  try {
    const job: CheckpointJob = { root, options: rest, ...(to === undefined ? {} : { to }), steps: theirs }
    const { model, pageFd, pageBytes, standstillMs } = resultOf((await pool().run(job, { transferList: [theirs] })) as CheckpointOutcome)
    return { image: new Image(model, pageFd, pageBytes), standstillMs, totalMs: performance.now() - started }
  } catch (error) {
    // A task that did not stop is only let go by the end of the thread that wanted it to.
    if (error instanceof UnsupportedError && error.code === 'THAW_UNINTERRUPTIBLE') await closeCheckpointPool()
    throw error
  } finally {
    steps.close()
  }
}

let shared: Tinypool | undefined

/** One thread is kept: a second checkpoint finds its code compiled and its process image warm. */
function pool(): Tinypool {
  // Descriptors come from the addon and go by node:fs: what Node believes to track is not what there is.
  const options = { runtime: 'worker_threads', minThreads: 1, maxThreads: 1, isolateWorkers: false, trackUnmanagedFds: false } as const
  shared ??= new Tinypool({ filename: fileURLToPath(new URL('job.js', import.meta.url)), ...options })
  return shared
}

/** Ends the thread, so that the process can end. */
export async function closeCheckpointPool(): Promise<void> {
  const pool = shared
  shared = undefined
  await pool?.destroy()
}

const classes = { CheckpointError, UnsupportedError, ImageError } as const

function resultOf(outcome: CheckpointOutcome): Extract<CheckpointOutcome, { kind: 'done' }>['checkpoint'] {
  if (outcome.kind === 'done') return outcome.checkpoint
  const Class = outcome.name in classes ? classes[outcome.name as keyof typeof classes] : ThawError
  throw new Class(outcome.code, outcome.message, outcome.details)
}
