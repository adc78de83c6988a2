/** Runs before each test file: the plugin adds it to `setupFiles`. */
import { test } from 'vitest'
import { testFileStarts } from './worker/hook.js'
import { addWithSnapshot } from './worker/with-snapshot.js'

testFileStarts()
// Once: without isolation, the same `test` serves many files.
if (!('withSnapshot' in test)) addWithSnapshot(test)
