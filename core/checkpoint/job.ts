/** The checkpoint as a job of a worker thread: ptrace belongs to one thread, and the dump blocks it. */
import { ThawError } from '../errors.js'
import type { ErrorDetails } from '../errors.js'
import type { MessagePort } from 'node:worker_threads'
import { checkpointTree } from './checkpoint.js'
import type { CheckpointOptions, RawCheckpoint } from './checkpoint.js'
import type { TreeRoot } from './tree.js'
import { writeImage } from '../image/store.js'

export interface CheckpointJob {
  readonly root: TreeRoot
  readonly options: Omit<CheckpointOptions, 'onStep'>
  /** Folder that the image is committed to. */
  readonly to?: string
  /** Where the names of steps go. */
  readonly steps?: MessagePort
}

/** Errors lose their class on the way between threads: what they are is sent as data. */
export type CheckpointOutcome =
  | { readonly kind: 'done'; readonly checkpoint: RawCheckpoint }
  | { readonly kind: 'failed'; readonly name: string; readonly code: string; readonly message: string; readonly details: ErrorDetails }

// oxlint-disable-next-line import/no-default-export -- what Tinypool calls
export default async function run({ root, options, to, steps }: CheckpointJob): Promise<CheckpointOutcome> {
  const whole = steps === undefined ? options : { ...options, onStep: (step: string) => steps.postMessage(step) }
  try {
    const commit = ({ model, pageFd, pageBytes }: Omit<RawCheckpoint, 'standstillMs'>): Promise<void> =>
      to === undefined ? Promise.resolve() : writeImage(to, model, pageFd, pageBytes)
    return { kind: 'done', checkpoint: await checkpointTree(root, whole, commit) }
  } catch (error) {
    if (!(error instanceof ThawError)) throw error
    const { name, code, message, pid: of, syscall, errno, path } = error
    const details = {
      ...(of === undefined ? {} : { pid: of }),
      ...(syscall === undefined ? {} : { syscall }),
      ...(errno === undefined ? {} : { errno }),
      ...(path === undefined ? {} : { path }),
    }
    return { kind: 'failed', name, code, message, details }
  } finally {
    steps?.close()
  }
}
