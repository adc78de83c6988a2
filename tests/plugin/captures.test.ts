import { describe, expect, it } from 'vitest'
import { mayCapture } from '../../dist/plugin/worker/captures.js'

const OUTSIDE = 3000

describe('a warm-up that means the same everywhere', () => {
  it.each([
    async ({ start }: { start: (...words: unknown[]) => Promise<void> }) => {
      const api = await start('node', ['server.js'], { ready: { http: ':3000/health' } })
      return { admin: 'ada', api }
    },
    async (tools: { start(command: string): Promise<void> }) => tools.start("it's"),
    () => {
      let sum = 0
      for (const word of process.argv) sum += Number(word)
      return sum // of OUTSIDE
    },
    () => JSON.stringify({ OUTSIDE: globalThis.Math.PI }),
  ])('%s', (warmUp) => {
    expect(mayCapture(warmUp.toString())).toBe(false)
  })
})

describe('a warm-up that may mean something else in another file', () => {
  const port = OUTSIDE
  it.each([
    () => OUTSIDE,
    () => ({ port }),
    () => [...String(port)],
    (yes: boolean) => (yes ? port : 1),
    ({ from = port }) => from,
    () => `${port}`,
    async () => import('node:fs'),
    ({ a }: { a: number }) => {
      const { b = port } = { a } as { b?: number }
      return b
    },
  ])('%s', (warmUp) => {
    expect(mayCapture(warmUp.toString())).toBe(true)
  })
})
