import { defineConfig } from 'vitest/config'
import thaw from 'vitest-thaw'

export default defineConfig({ plugins: [thaw()], test: { testTimeout: 20_000, maxWorkers: 2 } })
