import { writeFileSync } from 'node:fs'
import type { Reporter, SerializedError, TestModule } from 'vitest/node'

/**
 * Ends a run with one line, `N passed, N failed` (and `, N skipped` if any), after everything else that Vitest prints.
 * A file that could not be loaded and an unhandled error each count as a failure. With `TALLY_FILE`, the line also goes there.
 */
export class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const state = test.result().state
        if (state !== 'pending') count[state]++
      }
      count.failed += module.errors().length
      for (const suite of module.children.allSuites()) count.failed += suite.errors().length
    }
    const line = `${count.passed} passed, ${count.failed} failed${count.skipped > 0 ? `, ${count.skipped} skipped` : ''}`
    if (process.env['TALLY_FILE']) writeFileSync(process.env['TALLY_FILE'], `${line}\n`)
    process.once('exit', () => process.stdout.write(`${line}\n`))
  }
}
