import { ThawError } from '../../core/index.js'
import { FixtureError } from '../errors.js'
import type { Edited, FixtureIdentity } from '../protocol/messages.js'
import type { Client } from './client.js'
import { Launch, type LaunchOutcome } from './launch.js'
import type { Hosts } from './hosts.js'
import type { Place } from './place.js'
import type { Pool } from './pool.js'

/** The template was killed, or the process that makes sandboxes for its copies. */
const LOST: ReadonlySet<string> = new Set(['THAW_TEMPLATE', 'THAW_SANDBOX_GONE'])

interface Warm {
  readonly is: 'warm'
  readonly pool: Pool
}

type State =
  | { readonly is: 'cold' }
  /** One worker runs the warm-up; `over` resolves when it has, or has given up. */
  | { readonly is: 'warming'; readonly over: Promise<void> }
  | Warm
  | { readonly is: 'failed'; readonly error: Error }

/** A fixture of the run: warmed up by the first worker that asks, then copied for everybody. */
export class Fixture {
  readonly identity: FixtureIdentity
  usedInThisRun = false
  readonly #hosts: Hosts
  #state: State = { is: 'cold' }
  #launch: Launch | undefined
  #disposed = false

  constructor(identity: FixtureIdentity, hosts: Hosts) {
    this.identity = identity
    this.#hosts = hosts
  }

  is({ scope, sourceHash }: FixtureIdentity): boolean {
    return this.identity.scope === scope && this.identity.sourceHash === sourceHash
  }

  async acquire(client: Client): Promise<Place> {
    this.usedInThisRun = true
    const askedAt = performance.now()
    for (;;) {
      if (client.gone.aborted) throw new FixtureError('THAW_WORKER_GONE', 'The worker is gone.')
      const state = this.#state
      switch (state.is) {
        case 'cold':
          return this.#warmUp()
        case 'warming':
          await state.over
          break
        case 'warm':
          return this.#take(state, client, performance.now() - askedAt)
        case 'failed':
          throw state.error
      }
    }
  }

  /** What its warm-up has started may be of files that no test imports; what its source means may depend on any that it imports. */
  isStale(edited: Edited): boolean {
    return edited === 'something else' || this.identity.dependsOn.some((file) => edited.includes(file))
  }

  runStarted(): void {
    this.usedInThisRun = false
    if (this.#state.is === 'failed') this.#state = { is: 'cold' }
  }

  dispose(): void {
    this.#disposed = true
    this.#launch?.leave()
    if (this.#state.is === 'warm') void this.#state.pool.dispose()
  }

  async #take(state: Warm, client: Client, warmingMs: number): Promise<Place> {
    try {
      return await state.pool.take(client, warmingMs)
    } catch (error) {
      // There will never be another copy of it. The next test warms up anew.
      if (error instanceof ThawError && LOST.has(error.code) && this.#state === state) {
        this.#state = { is: 'cold' }
        void state.pool.dispose()
      }
      throw error
    }
  }

  #warmUp(): Launch {
    const launch = new Launch(this.identity.name, this.#hosts)
    this.#launch = launch
    this.#state = { is: 'warming', over: this.#settle(launch) }
    return launch
  }

  async #settle(launch: Launch): Promise<void> {
    const outcome = await launch.outcome
    this.#launch = undefined
    this.#state = this.#disposed ? this.#stateAfterAll(outcome) : stateAfter(outcome)
  }

  /** Disposed of while its snapshot was made: nobody will ask this one for a copy, except who waits for it already. */
  #stateAfterAll(outcome: LaunchOutcome): State {
    if (outcome.type === 'warm') void outcome.pool.dispose()
    const message = `Fixture "${this.identity.name}" was defined anew while it was warmed up.`
    return { is: 'failed', error: new FixtureError('THAW_FIXTURE_REPLACED', message) }
  }
}

/** A worker that was killed in its warm-up says nothing about the fixture: the next one tries. */
function stateAfter(outcome: LaunchOutcome): State {
  switch (outcome.type) {
    case 'warm':
      return { is: 'warm', pool: outcome.pool }
    case 'failed':
      return { is: 'failed', error: outcome.error }
    case 'abandoned':
      return { is: 'cold' }
  }
}
