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
 */
export function failAttempt(task: RunnerTestCase, error: unknown): undefined {
  if (!hookStands) throw error
  if (!hasFailed(task)) failures.set(task, { error })
}

/** The other fixtures of the attempt need not be made any more. */
export const hasFailed = (task: RunnerTestCase): boolean => failures.has(task)

export function endFailedAttempt(task: RunnerTestCase): void {
  const failure = failures.get(task)
  failures.delete(task)
  if (failure) throw failure.error
}
