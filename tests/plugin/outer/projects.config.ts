import { defineConfig } from 'vitest/config'
import thaw from 'vitest-thaw'

const project = (name: string, env: Record<string, string>) => ({
  extends: true as const,
  test: { name, env, include: ['project-environment.test.ts'] },
})

export default defineConfig({
  plugins: [thaw()],
  test: { testTimeout: 20_000, maxWorkers: 2, projects: [project('first', { SHOP: 'first' }), project('second', { SHOP: 'second' })] },
})
