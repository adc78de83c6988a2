/**
 * Runs before each test file: the plugin adds it to `setupFiles`, as the first.
 *
 * Vitest counts the making of a test's fixtures against `testTimeout`, unless a hook has made them first: `beforeEach` makes the
 * automatic fixtures of the coming test, too, and counts against a timeout of its own. The first one does it for all: so an empty hook
 * with a long timeout is all it takes to keep the warm-up, and waiting for another worker's warm-up, out of `testTimeout` and
 * `hookTimeout`. Both have limits of their own, which end long before; fixtures of somebody else's may hang.
 */
import { beforeEach, test } from 'vitest'

const LONGEST_MS = 3_600_000

beforeEach(() => {}, LONGEST_MS)
// Not imported above: setup files are loaded side by side, and the user's must not get ahead with a hook of theirs.
const { addWithSnapshot } = await import('./worker/with-snapshot.js')
// Once: without isolation, the same `test` serves many files.
if (!('withSnapshot' in test)) addWithSnapshot(test)
