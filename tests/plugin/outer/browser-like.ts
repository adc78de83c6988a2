/** An environment with a `fetch` of its own, put there as Vitest puts happy-dom's. It knows nothing of sandboxes. */
import type { Environment } from 'vitest/runtime'

export default {
  name: 'browser-like',
  viteEnvironment: 'client',
  setup(global) {
    const fetch = (): Promise<never> => Promise.reject(new Error('the host was asked'))
    Object.defineProperty(global, 'fetch', { get: () => fetch, configurable: true })
    return { teardown: () => {} }
  },
} satisfies Environment
