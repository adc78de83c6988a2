import { FixtureError } from '../errors.js'
import type { FixtureIdentity } from '../protocol/messages.js'
import type { Client } from './client.js'
import { Fixture } from './fixture.js'
import { Hosts } from './hosts.js'
import type { Place } from './place.js'

/** All fixtures of a run, by name. */
export class Engine {
  readonly #hosts = new Hosts()
  readonly #fixtures = new Map<string, Fixture>()

  /** A copy of the fixture, or the task of warming it up; waits while another worker does that. */
  acquire(identity: FixtureIdentity, client: Client): Promise<Place> {
    return this.#fixture(identity).acquire(client)
  }

  /** In watch mode: what was edited may be defined anew, and what failed may be tried again. */
  runStarted(): void {
    for (const fixture of this.#fixtures.values()) fixture.runStarted()
  }

  #fixture(identity: FixtureIdentity): Fixture {
    const known = this.#fixtures.get(identity.name)
    if (known && known.is(identity)) return known
    if (known?.usedInThisRun) throw conflict(known.identity, identity)
    known?.dispose()
    const fixture = new Fixture(identity, this.#hosts)
    this.#fixtures.set(identity.name, fixture)
    return fixture
  }
}

function conflict(first: FixtureIdentity, second: FixtureIdentity): FixtureError {
  const where = first.file === second.file ? `twice in ${first.file}, with different warm-ups` : `in ${first.file} and in ${second.file}`
  return new FixtureError(
    'THAW_FIXTURE_CONFLICT',
    `Fixture "${first.name}" is defined ${where}. A name stands for one warm-up, which runs once for all files: ` +
      'give one of the two another name, or define it in a module that both import.',
  )
}
