/**
 * An engine that restores the shop again and again, each time asks it whether it is the same, and tells as one object what it cost and
 * what is left. usage: soak.ts RESTORES, in an empty folder that is TMPDIR, too.
 */

import { openSync } from 'node:fs'
import { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { checkpoint, closeCheckpointPool, type Host, openHost, type Sandbox, type Template } from '../../dist/core/index.js'
import { spareOf } from '../restore/spare.ts'
import { left, memory, type Memory } from './left.ts'

export interface Outcome {
  readonly restoreMs: { readonly p50: number; readonly p95: number; readonly most: number }
  /** What there is besides the host and the template: before the first restore, and after the last. */
  readonly before: ReturnType<typeof left>
  readonly after: ReturnType<typeof left>
  /** When a tenth of the restores was done, and at the end. */
  readonly early: Memory
  readonly late: Memory
}

const PORT = 3000
const shop = fileURLToPath(new URL('../../fixtures/shop-server/server.js', import.meta.url))
const nothing = openSync('/dev/null', 'r+')
const stdio = [nothing, nothing, nothing] as const

const restores = Number(process.argv[2])
await using host = await openHost()
await using template = await warmTemplate(host)
// The first few have the engine's own code compiled and its pools filled.
for (let i = 0; i < 5; i++) await restore(i)
await spareOf(template)
const before = left()
const times: number[] = []
let early = memory()
for (let i = 0; i < restores; i++) {
  times.push(await restore(i))
  if (i !== Math.floor(restores / 10)) continue
  // It takes as much memory as the template.
  await spareOf(template)
  early = memory()
}
await spareOf(template)
await sleep(100)
times.sort((a, b) => a - b)
const at = (share: number): number => times[Math.floor((times.length - 1) * share)] ?? 0
const outcome: Outcome = { restoreMs: { p50: at(0.5), p95: at(0.95), most: at(1) }, before, after: left(), early, late: memory() }
console.log(JSON.stringify(outcome))
await closeCheckpointPool()

async function warmTemplate(host: Host): Promise<Template> {
  await using sandbox = await host.createSandbox({ network: 'new' })
  const { pid } = await sandbox.start(process.execPath, [shop], { stdio, env: { ...process.env, PORT: `${PORT}` } })
  while (
    !(await metrics(sandbox).then(
      () => true,
      () => false,
    ))
  )
    await sleep(20)
  await sleep(100)
  await using image = (await checkpoint(pid, { then: 'kill' })).image
  return await image.load(host, { network: 'new' })
}

/** Every other one stands by before it is let go, as the plugin has it. */
async function restore(i: number): Promise<number> {
  await using instance = await template.spawn({ stdio, standby: i % 2 === 0 })
  if (i % 2 === 0) await instance.open()
  // The first request was the warm-up's.
  const { requests } = await metrics(instance.sandbox)
  if (requests !== 2) throw new Error(`restore ${i}: not as it was at the checkpoint: ${requests} requests`)
  return instance.timings.restoreMs
}

async function metrics(sandbox: Sandbox): Promise<{ requests: number }> {
  const socket = new Socket({ fd: await sandbox.connect(PORT) })
  socket.write('GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
  const answer = Buffer.concat(await socket.toArray()).toString()
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as { requests: number }
}
