import { defineConfig } from 'vitest/config'
import { TallyReporter } from './.ci/tally.ts'

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'tests/**/outer/**'],
    pool: 'forks',
    // Tests start and stop real processes, and wait for them: three files beside each other keep two processors busy.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    retry: 0,
    passWithNoTests: true,
    reporters: ['default', new TallyReporter()],
  },
})
