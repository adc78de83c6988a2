import type { RunnerTestCase } from 'vitest'

/** Why attempts of tests fail that have no copy. */
const failures = new WeakMap<RunnerTestCase, { readonly error: unknown }>()
let hookStands = false

/** Called by the setup file, which then calls `endFailedAttempt` in a hook before each attempt. */
export function expectHook(): void {
  hookStands = true
}

/**
 * Vitest 4 takes a fixture whose function has thrown for made, and runs the next attempt of the test without it. So the function does
 * not throw, but the hook that comes as soon as the fixtures are made. Without the setup file there is no hook, and it throws.
 *
 * @returns what the test gets for its copy until then
 */
export function failAttempt(task: RunnerTestCase, error: unknown): object {
  if (!hookStands) throw error
  failures.set(task, { error })
  return inPlaceOfCopy(error)
}

/** Of an attempt that has failed: what the other fixtures of it are, which need not be made any more. */
export function failedAttempt(task: RunnerTestCase): object | undefined {
  const failure = failures.get(task)
  return failure && inPlaceOfCopy(failure.error)
}

export function endFailedAttempt(task: RunnerTestCase): void {
  const failure = failures.get(task)
  forgetFailure(task)
  if (failure) throw failure.error
}

/** The next attempt may have its copy. */
export function forgetFailure(task: RunnerTestCase): void {
  failures.delete(task)
}

/**
 * Fixtures of the user that are made of the copy come before the hook, and so do hooks that wrap a test: what they fail with is the
 * reason why there is none.
 */
function inPlaceOfCopy(error: unknown): object {
  const fail = (): never => {
    throw error
  }
  return new Proxy(
    {},
    {
      // Vitest awaits what a fixture is.
      get: (_, property) => (property === 'then' ? undefined : fail()),
      set: fail,
      has: fail,
      ownKeys: fail,
      getOwnPropertyDescriptor: fail,
      defineProperty: fail,
      deleteProperty: fail,
    },
  )
}
