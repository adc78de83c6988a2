/** What is in a queue of events. There is no way to look at it without taking it: see taker.ts, which puts it back. */
import { spawnSync } from 'node:child_process'
import type { SpawnOptions, SpawnSyncOptionsWithStringEncoding } from 'node:child_process'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { homeOf } from '../description.js'
import type { SeenDescription } from '../description.js'
import { refusal } from '../refusal.js'
import type { InotifyEvent } from './event.js'
import type { GivenWatch } from './watches.js'

/** What the taker is asked, and answers, as JSON. */
export interface TakeRequest {
  /** Where it makes a folder to work in: in the first of these that it can. */
  readonly folders: readonly string[]
  readonly watches: readonly GivenWatch[]
}

export type TakeAnswer =
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'taken'; readonly next: number; readonly events: readonly (Omit<InotifyEvent, 'name'> & { readonly name: string })[] }

export interface Taken {
  /** The number that the next watch is to get. */
  readonly next: number
  readonly events: InotifyEvent[]
}

const TAKER = fileURLToPath(new URL('taker.js', import.meta.url))
/** Quicker than a disk. */
const MEMORY = '/dev/shm'
const MOST_BYTES = 1 << 30

/** @param watches in the order in which they are added, with paths as the process sees them */
export function takeEvents(seen: SeenDescription, watches: readonly GivenWatch[]): Taken {
  const { pid } = homeOf(seen)
  const request: TakeRequest = {
    folders: [MEMORY, tmpdir()],
    watches: watches.map((watch) => ({ ...watch, path: `/proc/${pid}/root${watch.path}` })),
  }
  const options: SpawnSyncOptionsWithStringEncoding & Pick<SpawnOptions, 'detached'> = {
    input: JSON.stringify(request),
    stdio: ['pipe', 'pipe', 'pipe', seen.duplicate()],
    // Of a session of its own, so that what ends ours does not end it.
    detached: true,
    // What ours was told to load, or to wait for, is not for this one.
    env: { ...process.env, NODE_OPTIONS: '' },
    encoding: 'utf8',
    maxBuffer: MOST_BYTES,
  }
  const { stdout, stderr, error } = spawnSync(process.execPath, [TAKER], options)
  const answer = parse(stdout) ?? { kind: 'failed', message: error?.message ?? stderr }
  if (answer.kind === 'taken')
    return {
      next: answer.next,
      events: answer.events.map((event) => ({ ...event, name: Uint8Array.from(Buffer.from(event.name, 'hex')) })),
    }
  throw refusal(
    seen,
    'THAW_INOTIFY_EVENTS',
    `is an inotify instance with events that it has not read, which could not be looked at (${answer.message})`,
    'Let it read them before the checkpoint.',
  )
}

function parse(text: string): TakeAnswer | undefined {
  try {
    return JSON.parse(text) as TakeAnswer
  } catch {
    return undefined
  }
}
