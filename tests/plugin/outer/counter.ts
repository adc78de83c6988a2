import { appendFileSync } from 'node:fs'
import { defineFixture } from 'vitest-thaw'

/** Shared by test files; leaves a mark in the file `warm-ups` each time it is warmed up. */
export const counter = defineFixture('counter', async ({ start }) => {
  appendFileSync('warm-ups', `${process.pid}\n`)
  const server = await start('node', ['counter-server.js'], { ready: { http: ':3000/health' } })
  await server.fetch('/increment')
  return { admin: 'ada', roles: new Map([['ada', ['owner']]]), printed: server.stdout }
})

export async function increment(counter: { fetch(path: string): Promise<Response> }): Promise<number> {
  const response = await counter.fetch(':3000/increment')
  return ((await response.json()) as { count: number }).count
}
