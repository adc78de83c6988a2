/**
 * Vitest counts the making of a test's fixtures against `testTimeout`, unless a hook has made them first: `beforeEach` makes the
 * automatic fixtures of the coming test, too, and counts against a timeout of its own. So an empty hook without a timeout is all
 * it takes to keep the warm-up, and waiting for another worker's warm-up, out of `testTimeout`. Both have limits of their own.
 */
import { beforeEach, TestRunner } from 'vitest'

type Suite = ReturnType<typeof TestRunner.getCurrentSuite>
const NO_TIMEOUT = 0

let fileSuite: Suite | undefined
/** Suites that have the hook: files, or `describe` blocks in which the first snapshot test of a file was made. */
let hooked = new WeakSet<Suite>()
/** Whether a module of this worker, which later test files may share without loading it again, has made a snapshot test. */
let everNeeded = false

/** Called by the setup file, which Vitest runs before each test file. */
export function testFileStarts(): void {
  fileSuite = TestRunner.getCurrentSuite()
  hooked = new WeakSet()
  if (everNeeded) beforeEachOutsideTestTimeout()
}

/** Called when a snapshot test is made. Files without one are left alone. */
export function beforeEachOutsideTestTimeout(): void {
  everNeeded = true
  const suite = TestRunner.getCurrentSuite()
  if (hooked.has(suite) || (fileSuite && hooked.has(fileSuite))) return
  hooked.add(suite)
  beforeEach(() => {}, NO_TIMEOUT)
}
