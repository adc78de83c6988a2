import { defineConfig } from 'vitest/config'
import { TallyReporter } from './.ci/tally.ts'

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'tests/**/outer/**'],
    pool: 'forks',
    // Tests start, stop and measure real processes: two files beside each other are as many as small machines carry.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    retry: 0,
    passWithNoTests: true,
    reporters: ['default', new TallyReporter()],
  },
})
