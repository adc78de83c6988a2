import type { Socket } from 'node:net'
import { deserialize } from 'node:v8'
import type { Acquired } from '../protocol/messages.js'
import type { EngineClient } from './engine-client.js'
import { Network } from './network.js'
import { Output } from './output.js'

/** A fresh copy of a fixture, as a test gets it. What the warm-up returned is on it too. */
export interface Snapshot {
  /** Node's `fetch`, into the copy: `shop.fetch(':3000/users/1')`. */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>
  /** A connected socket to a port of the copy. */
  connect(port: number): Promise<Socket>
  /** What the copy has printed since it was made; the last 64 KiB of it. */
  readonly stdout: string
  readonly stderr: string
}

export const SNAPSHOT_MEMBERS: ReadonlySet<string> = new Set<keyof Snapshot>(['fetch', 'connect', 'stdout', 'stderr'])

/** The object that a test sees: a snapshot with the warm-up's value, if that is an object; other values are `value`. */
export type SnapshotOf<Value> = Snapshot &
  (Value extends void | undefined | null ? object : Value extends object ? Value : { readonly value: Value })

/** A copy on loan from the engine. */
export interface Loan {
  readonly snapshot: Snapshot
  readonly stdout: Output
  readonly stderr: Output
  /** Gives it back. */
  end(): Promise<void>
}

type Instance = Acquired & { readonly type: 'instance'; readonly descriptors: readonly number[] }

export function takeLoan(engine: EngineClient, { place, value, descriptors }: Instance): Loan {
  const network = new Network(engine, place)
  const [stdout, stderr] = descriptors.map((fd) => new Output(engine.native, fd)) as [Output, Output]
  const snapshot: Snapshot = {
    fetch: (input, init) => network.fetch(input, init),
    connect: (port) => network.connect(port),
    get stdout() {
      return stdout.text
    },
    get stderr() {
      return stderr.text
    },
  }
  return {
    snapshot: withValue(snapshot, deserialize(Buffer.from(value, 'base64'))),
    stdout,
    stderr,
    end: async () => {
      await network.close()
      // Nothing to wait for. And if the engine has died, so has the copy. What it has printed stays in the pipes: they are read after it.
      engine.call('release', { place }).catch(() => {})
      stdout.close()
      stderr.close()
    },
  }
}

function withValue(snapshot: Snapshot, value: unknown): Snapshot {
  if (value === undefined || value === null) return snapshot
  return Object.assign(snapshot, typeof value === 'object' ? value : { value })
}
