/**
 * What is said between the three kinds of process of a run. Every conversation begins with a message that shows the token
 * of the run: the sockets have abstract names, which any user of the machine can see and connect to.
 *
 *     worker ──EngineWanted──▶ Vitest main process ──EngineAt──▶ worker
 *     worker ──Hello─────────▶ engine         the conversation of requests and replies
 *     worker ──Descriptors───▶ engine         a second connection, on which only descriptors travel, from engine to worker
 *     Vitest main process ──RunStarted──▶ engine         closed by the engine once it knows
 */
import type { WireError } from './errors.js'

/** Raised with every change: main process, workers and engine may be of different installations of the package. */
export const PROTOCOL_VERSION = 3

interface Opening {
  readonly version: number
  readonly token: string
}

/** Where workers turn to first. Vitest gives it to them (`provide`). */
export interface Rendezvous extends Opening {
  readonly address: string
}

/** The same, as the workers of one project get it. */
export interface ProjectRendezvous extends Rendezvous {
  /** 0 is no limit. */
  readonly warmUpTimeoutMs: number
  /** Folder of the project, in which its fixtures' commands run. */
  readonly root: string
  /** Its name: environments and settings differ between projects, and so do fixtures. */
  readonly project: string
  /** `sequence.hooks`: whether the hooks of a test begin at the same time. */
  readonly hooksAtOnce: boolean
  /** Pools that run files in `node:vm`: each file has a global object, and with it modules, of its own in a worker that lives on. */
  readonly globalsPerFile: boolean
}

export interface EngineWanted extends Opening {
  readonly type: 'engine-wanted'
}
export type EngineAt = { readonly type: 'engine-at'; readonly address: string } | { readonly type: 'failed'; readonly error: WireError }

/** `worker` is a random name that ties the two connections of a worker together. */
export interface Hello extends Opening {
  readonly type: 'hello'
  readonly worker: string
}
export interface DescriptorsHere extends Opening {
  readonly type: 'descriptors-here'
  readonly worker: string
}
/** Forgets the failed warm-ups of the run before, which names were taken, and what edits have made stale. */
export interface RunStarted extends Opening {
  readonly type: 'run-started'
  readonly edited: Edited
}
/** Files of the tests that were edited since the last run, with what imports them; or something that no test imports was. */
export type Edited = readonly string[] | 'something else'
export type EngineOpening = Hello | DescriptorsHere | RunStarted

/** One fixture definition. Two with the same name in one run of a project must be the same in all. */
export interface FixtureIdentity {
  readonly project: string
  readonly name: string
  /** Where it is defined, for people. */
  readonly file: string
  /** Where its source means the same: the folder of that file, or only at that place, called from these others. */
  readonly scope: string
  readonly sourceHash: string
  /** Files that may give the names in its source another meaning. */
  readonly dependsOn: readonly string[]
}

/** Number of a sandbox that its worker may use: the one that a warm-up starts things in, or an instance. */
export type PlaceId = number

/** Requests of a worker, with what each is answered by. */
export interface Calls {
  /** A fresh instance, or, if there is nothing to restore yet, the task of warming up. Waits while another worker warms up. */
  acquire: { request: { fixture: FixtureIdentity }; reply: Acquired }
  /** Runs a command in a place. Comes with two descriptors: the reading ends of its stdout and stderr. */
  start: {
    request: { place: PlaceId; command: string; args: readonly string[]; cwd: string; env: Readonly<Record<string, string>> }
    reply: { process: number }
  }
  /** Comes with one descriptor: a TCP connection to 127.0.0.1 (or ::1) in the place. */
  connect: { request: { place: PlaceId; port: number }; reply: Record<never, never> }
  /** The warm-up has returned `value` (serialized by `node:v8`, base64). Answered once the snapshot can be restored. */
  warmed: { request: { place: PlaceId; value: string }; reply: { checkpointMs: number; standstillMs: number; loadMs: number } }
  'warm-up-failed': { request: { place: PlaceId; error: WireError }; reply: Record<never, never> }
  /** The instance is not needed any more. Answered at once; it is taken down after that. */
  release: { request: { place: PlaceId }; reply: Record<never, never> }
}

export type Acquired =
  | { readonly type: 'warm-up'; readonly place: PlaceId }
  /** Comes with two descriptors: the reading ends of stdout and stderr. */
  | {
      readonly type: 'instance'
      readonly place: PlaceId
      readonly value: string
      readonly restoreMs: number
      /** How long the warm-up took, once. */
      readonly warmUpMs: number
      /** How long this request waited for the warm-up of another worker. */
      readonly warmingMs: number
    }

export type CallName = keyof Calls
export type Request = { [Name in CallName]: { readonly id: number; readonly call: Name; readonly body: Calls[Name]['request'] } }[CallName]

export type Reply =
  | { readonly type: 'welcome' }
  | { readonly type: 'refused'; readonly error: WireError }
  | { readonly type: 'done'; readonly id: number; readonly body: object; readonly descriptors: number }
  | { readonly type: 'failed'; readonly id: number; readonly error: WireError }
  /** A process that this worker started has ended. */
  | { readonly type: 'exited'; readonly process: number; readonly code: number | null; readonly signal: number | null }
