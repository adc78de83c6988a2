/**
 * What is loaded before each test file. By one import: in its vm pools Vitest links what is imported at once separately, and fails where one
 * of them comes upon what another one has not linked yet.
 */
export { endFailedAttempt, expectHook } from './attempt.js'
export { closeLine } from './line.js'
export { addWithSnapshot } from './with-snapshot.js'
