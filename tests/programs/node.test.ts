import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { missing, nodes } from './installed.ts'
import { Folder, Running, sharedHost, untilIdle, untilReady } from './running.ts'

const host = sharedHost()
const program = fileURLToPath(new URL('../../fixtures/programs/node-server.mjs', import.meta.url))

for (const [name, node] of Object.entries(nodes)) {
  const start = async (folder: Folder): Promise<Running> => {
    const running = await Running.start(await host(), folder, node, [program, folder.file('trigger'), folder.file('report')])
    await untilReady(folder)
    return running
  }

  test(`${name}: an HTTP server with timers and workers goes on where it was, and again`, async ({ skip }) => {
    skip(missing(node) !== undefined, missing(node))
    using folder = new Folder()
    await using original = await start(folder)
    const port = Number(/listening on (\d+)/.exec(folder.text('output'))?.[1])
    const first = await look(original, port)
    let last = first
    await original.useCopies(
      async (copy, before) => {
        const now = await look(copy, port)
        expectToGoOn(before === 0 ? first : last, now)
        last = now
      },
      { awayMs: AWAY_MS },
    )
  })

  test(`${name}: what it had begun comes to its end`, async ({ skip }) => {
    skip(missing(node) !== undefined, missing(node))
    using folder = new Folder()
    await using original = await start(folder)
    await original.checkCopies()
  })
}

interface State {
  readonly pid: number
  readonly requests: number
  readonly ticks: number
  readonly workers: readonly [number, number]
  /** `performance.now()`, in the program. */
  readonly now: number
}

/** What it says of itself, and when. */
type Look = State & { readonly at: number }

/** How long the program is not there: neither its clocks nor its timers may know of it. */
const AWAY_MS = 1000
/** What two clocks read one after the other may differ by. */
const ASIDE_MS = 100
const TICK_MS = 20
const WORKER_TICK_MS = 10

async function look(running: Running, port: number): Promise<Look> {
  const { body } = await running.get(port, '/state')
  await untilIdle()
  return { ...(JSON.parse(body) as State), at: performance.now() }
}

function expectToGoOn(before: Look, after: Look): void {
  expect(after).toMatchObject({ pid: before.pid, requests: before.requests + 1 })
  const passed = after.now - before.now
  expect(passed, 'performance.now()').toBeGreaterThan(0)
  expect(passed, 'performance.now()').toBeLessThan(after.at - before.at - AWAY_MS + ASIDE_MS)
  expectTicks('the timer', before.ticks, after.ticks, passed / TICK_MS)
  for (const i of [0, 1] as const) expectTicks(`the timer of worker ${i}`, before.workers[i], after.workers[i], passed / WORKER_TICK_MS)
}

/** A timer of Node's may be late, and then does not catch up; it never comes more often than it is due. */
function expectTicks(what: string, before: number, after: number, due: number): void {
  expect(after, what).toBeGreaterThan(before)
  expect(after - before, what).toBeLessThan(due + 2)
}
