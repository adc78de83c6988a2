import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { isAlive } from '../sandbox/harness.ts'

interface Pids {
  readonly copies: readonly number[]
  /** The engine's host, template, and everything in its sandboxes. */
  readonly all: readonly number[]
}

for (const signal of ['SIGKILL', 'SIGTERM', 'SIGSEGV'] as const) {
  test(`an engine that ends by ${signal} leaves no process, a second later`, async () => {
    const engine = spawn(process.execPath, [fileURLToPath(new URL('mortal.ts', import.meta.url))], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      const [line] = (await once(createInterface(engine.stdout), 'line')) as [string]
      const { copies, all } = JSON.parse(line) as Pids
      // Of those that only help a copy into the world, one may be gone already.
      expect(all.filter(isAlive)).toEqual(expect.arrayContaining([...copies]))
      engine.kill(signal)
      await once(engine, 'exit')
      await expect.poll(() => all.filter(isAlive), { interval: 10, timeout: 1000 }).toEqual([])
    } finally {
      engine.kill('SIGKILL')
    }
  })
}
