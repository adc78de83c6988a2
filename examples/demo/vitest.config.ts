import { defineConfig } from 'vitest/config'
import thaw from 'vitest-thaw'

export default defineConfig({
  plugins: [thaw()],
  cacheDir: '../../build/demo',
  test: { include: ['suite/*.test.ts'], testTimeout: 30_000 },
})
