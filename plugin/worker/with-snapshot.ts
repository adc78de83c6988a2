import type { RunnerTestCase, TestAPI } from 'vitest'
import { FixtureError } from '../errors.js'
import { failAttempt, failedAttempt, forgetFailure } from './attempt.js'
import { engineClient } from './line.js'
import { rendezvous } from './rendezvous.js'
import { attachOutput, type TestError } from './failure.js'
import type { Fixture } from './fixture.js'
import { identify } from './identity.js'
import { type Loan, type SnapshotOf, takeLoan } from './snapshot.js'
import { runWarmUp } from './warm-up.js'

/** A Vitest `test` that also has `withSnapshot`. */
export type ThawTestAPI<Context = object> = TestAPI<Context> & {
  /** A `test` whose tests each get a fresh copy of the fixture, by its name. Retries and repeats get a new one. */
  withSnapshot<Name extends string, Value>(fixture: Fixture<Name, Value>): ThawTestAPI<Context & { [Key in Name]: SnapshotOf<Value> }>
}

interface Costs {
  readonly restoreMs: number
  readonly waitMs: number
  readonly warmUpMs: number
  readonly ownWarmUps: number
}

interface Acquisition {
  readonly loan: Loan
  readonly costs: Costs
}

/** Gives a Vitest `test` the method `withSnapshot`, and everything that is made of it by `extend` too. */
export function addWithSnapshot<Context>(test: TestAPI<Context>): ThawTestAPI<Context> {
  const api = test as ThawTestAPI<Context> & { extend: (...args: unknown[]) => TestAPI<Context> }
  const extend = api.extend
  return Object.assign(api, {
    extend: (...args: unknown[]) => addWithSnapshot(extend.apply(api, args)),
    withSnapshot: (fixture: Fixture) => addWithSnapshot(snapshotTest(extend.bind(api), fixture)),
  })
}

function snapshotTest<Context>(extend: (...args: unknown[]) => TestAPI<Context>, fixture: Fixture): TestAPI<Context> {
  if (typeof fixture?.warmUp !== 'function') throw new TypeError('test.withSnapshot(fixture): the fixture is what defineFixture returns.')
  // Vitest reads the parameters of this function to learn which other fixtures it needs.
  const copy = async ({ task }: { task: RunnerTestCase }, { onCleanup }: { onCleanup: (cleanup: () => Promise<void>) => void }) => {
    const stateBefore = task.result?.state
    const errorsBefore = task.result?.errors?.length ?? 0
    // Given up, skipped or failed: Vitest has cleaned up already, and does not do it again.
    const isOver = (): boolean => task.result?.state !== stateBefore || (task.result?.errors?.length ?? 0) > errorsBefore
    const failed = failedAttempt(task)
    if (failed) return failed
    let acquired: Acquisition
    try {
      acquired = await acquire(fixture)
    } catch (error) {
      const pointed = pointedAt(error, fixture)
      if (isOver()) throw pointed
      onCleanup(async () => forgetFailure(task))
      return failAttempt(task, pointed)
    }
    const { loan, costs } = acquired
    if (isOver()) {
      await loan.end()
      throw new FixtureError('THAW_TEST_OVER', `The test was over before its copy of "${fixture.name}" was there.`)
    }
    onCleanup(async () => {
      const error = task.result?.errors?.slice(errorsBefore).at(-1)
      if (error) attachOutput(error as TestError, fixture.name, loan)
      await loan.end()
    })
    recordCosts(task, fixture.name, costs)
    return loan.snapshot
  }
  return extend(fixture.name, { auto: true }, copy)
}

/** Waits for a copy of the fixture, and on the way warms it up if nobody has. */
async function acquire(fixture: Fixture): Promise<Acquisition> {
  const engine = await engineClient()
  const identity = identify(fixture, rendezvous().project)
  for (let ownWarmUps = 0; ; ownWarmUps++) {
    const askedAt = performance.now()
    const place = await engine.call('acquire', { fixture: identity })
    if (place.type === 'instance') {
      const waitMs = performance.now() - askedAt - place.warmingMs
      return { loan: takeLoan(engine, place), costs: { restoreMs: place.restoreMs, waitMs, warmUpMs: place.warmUpMs, ownWarmUps } }
    }
    await runWarmUp(fixture, place.place, fixture.options.warmUpTimeoutMs ?? rendezvous().warmUpTimeoutMs, engine)
  }
}

/** An error from the engine comes without frames: it is shown at the fixture's definition. */
function pointedAt(error: unknown, { definedAt }: Fixture): unknown {
  if (error instanceof Error && !error.stack?.includes('\n    at ')) error.stack = `${error.stack}\n${definedAt}`
  return error
}

/** Costs of the fixtures of the attempt that runs, by test. */
const attempts = new WeakMap<RunnerTestCase, Map<string, Costs>>()

function recordCosts(task: RunnerTestCase, name: string, costs: Costs): void {
  const { meta } = task
  const before = meta.thaw ?? { restores: 0, warmUps: 0, savedMs: 0 }
  const attempt = attempts.get(task) ?? new Map<string, Costs>()
  attempts.set(task, attempt.set(name, costs))
  const all = [...attempt.values()]
  meta.thaw = {
    restoreMs: all.reduce((sum, { restoreMs }) => sum + restoreMs, 0),
    waitMs: all.reduce((sum, { waitMs }) => sum + waitMs, 0),
    restores: before.restores + 1,
    warmUps: before.warmUps + costs.ownWarmUps,
    savedMs: before.savedMs + costs.warmUpMs * (1 - costs.ownWarmUps) - costs.waitMs,
  }
}
