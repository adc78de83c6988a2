import { FixtureError } from '../errors.js'
import type { Edited, FixtureIdentity } from '../protocol/messages.js'
import type { Client } from './client.js'
import { Fixture } from './fixture.js'
import { Hosts } from './hosts.js'
import type { Place } from './place.js'

/** All fixtures of a run, by project and name. */
export class Engine {
  readonly #hosts = new Hosts()
  readonly #fixtures = new Map<string, Fixture>()

  /** A copy of the fixture, or the task of warming it up; waits while another worker does that. */
  acquire(identity: FixtureIdentity, client: Client): Promise<Place> {
    return this.#fixture(identity).acquire(client)
  }

  /** In watch mode: what was edited may be defined anew or mean something else, and what failed may be tried again. */
  runStarted(edited: Edited): void {
    for (const [key, fixture] of this.#fixtures) {
      if (fixture.isStale(edited)) {
        fixture.dispose()
        this.#fixtures.delete(key)
      } else fixture.runStarted()
    }
  }

  #fixture(identity: FixtureIdentity): Fixture {
    const key = `${identity.project}\0${identity.name}`
    const known = this.#fixtures.get(key)
    if (known && known.is(identity)) return known
    if (known?.usedInThisRun) throw conflict(known.identity, identity)
    known?.dispose()
    const fixture = new Fixture(identity, this.#hosts)
    this.#fixtures.set(key, fixture)
    return fixture
  }
}

function conflict(first: FixtureIdentity, second: FixtureIdentity): FixtureError {
  return new FixtureError(
    'THAW_FIXTURE_CONFLICT',
    `Fixture "${first.name}" is defined ${howTwice(first, second)}. A name stands for one warm-up, which runs once for all files: ` +
      'give one of the two another name, or define it in a module that both import.',
  )
}

function howTwice(first: FixtureIdentity, second: FixtureIdentity): string {
  if (first.file !== second.file) return `in ${first.file} and in ${second.file}`
  if (first.sourceHash !== second.sourceHash) return `twice in ${first.file}, with different warm-ups`
  const [one, other] = [first, second].map(({ scope }) => scope.replaceAll('\n', ', called from '))
  return `at ${one} and at ${other}, where its warm-up may mean something else`
}
