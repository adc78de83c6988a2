/**
 * Runs before each test file: the plugin adds it to `setupFiles`, as the first.
 *
 * Vitest counts the making of a test's fixtures against `testTimeout`, unless a hook has made them first: `beforeEach` makes the
 * automatic fixtures of the coming test, too, and counts against a timeout of its own. The first one does it for all: so a hook with
 * a long timeout keeps the warm-up, and waiting for another worker's warm-up, out of `testTimeout` and `hookTimeout`. Both have
 * limits of their own, which end long before; fixtures of somebody else's may hang. It also tells of a copy that could not be made.
 *
 * With `sequence: { hooks: 'parallel' }` there is no first one: all `beforeEach` begin at once, and those of the user would run before the
 * copy is there. Then a hook that wraps the test makes the fixtures: it comes before all of them. Not always, as Vitest resets mocks
 * and the state of `expect` between the two: what other fixtures have set up would be undone.
 */
import { afterAll, aroundEach, beforeEach, inject, type RunnerTestCase, test } from 'vitest'

const LONGEST_MS = 3_600_000

if (inject('vitest-thaw')?.hooksAtOnce) aroundEach((run) => run(), LONGEST_MS)
let afterFixtures: (task: RunnerTestCase) => void = () => {}
beforeEach(({ task }) => afterFixtures(task), LONGEST_MS)
// Not imported above: setup files are loaded side by side, and the user's must not get ahead with a hook of theirs.
const { addWithSnapshot, closeLine, endFailedAttempt, expectHook } = await import('./worker/index.js')
afterFixtures = endFailedAttempt
expectHook()
if (inject('vitest-thaw')?.globalsPerFile) afterAll(closeLine)
// Once: without isolation, the same `test` serves many files.
if (!('withSnapshot' in test)) addWithSnapshot(test)
