/** The same shop without vitest-thaw: a start for each test. What that takes goes to `task.meta.cold`. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { test } from 'vitest'
import type { Shop } from './shop.ts'

const SERVER = fileURLToPath(new URL('../../fixtures/shop-server/server.js', import.meta.url))

export interface ColdMeta {
  /** From the start until the server was warm and seeded. */
  readonly startMs: number
}

export const coldTest = test.extend<{ shop: Shop }>({
  shop: async ({ task }, use) => {
    const startedAt = performance.now()
    const server = spawn(process.execPath, [SERVER], { env: { ...process.env, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      const [line] = (await once(createInterface({ input: server.stdout }), 'line')) as [string]
      const origin = `http://localhost:${line.match(/\d+$/)?.[0]}`
      await fetch(`${origin}/admin/seed`, { method: 'POST' })
      Object.assign(task.meta, { cold: { startMs: performance.now() - startedAt } satisfies ColdMeta })
      await use({ fetch: (path, init) => fetch(path.replace(':3000', origin), init) })
    } finally {
      server.kill('SIGKILL')
      await once(server, 'exit')
    }
  },
})
