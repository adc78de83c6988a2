import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { Outcome } from './soak.ts'

/** By hand: THAW_SOAK=2000 npx vitest run tests/soak */
const RESTORES = Number(process.env['THAW_SOAK'] ?? 100)
const MEGABYTE = 1 << 20
/** A descriptor, a namespace or a process that is kept by each restore comes to much more than that in a long run. */
const GROWTH_BYTES = 24 * MEGABYTE

test(
  `${RESTORES} restores of the shop in a row: none fails, nothing is left, memory stays flat`,
  { timeout: 60_000 + RESTORES * 200 },
  async () => {
    const { restoreMs, before, after, early, late } = await soak()
    console.log(`restore p50 ${restoreMs.p50.toFixed(1)} ms, p95 ${restoreMs.p95.toFixed(1)} ms, most ${restoreMs.most.toFixed(1)} ms`)
    console.log(`memory, after a tenth and at the end: ${JSON.stringify([early, late])}`)
    expect(after).toEqual(before)
    expect(late.ownBytes - early.ownBytes).toBeLessThan(GROWTH_BYTES)
    expect(late.othersBytes - early.othersBytes).toBeLessThan(MEGABYTE)
  },
)

async function soak(): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'thaw-soak-'))
  try {
    const script = fileURLToPath(new URL('soak.ts', import.meta.url))
    const options = { cwd: folder, env: { ...process.env, TMPDIR: folder }, stdio: ['ignore', 'pipe', 'inherit'] } as const
    const engine = spawn(process.execPath, ['--expose-gc', script, `${RESTORES}`], options)
    return JSON.parse(await text(engine.stdout)) as Outcome
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
