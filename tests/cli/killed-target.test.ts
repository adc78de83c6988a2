/**
 * The target is killed by SIGKILL after a step of the dumper: the dump ends with an error, and the target is nobody's tracee, so that whoever started
 * it can reap it. A test run takes a sample of the steps, another one each day.
 */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { FixtureProgram } from '../fixtures/program.ts'
import { eventually, expectNothingLeft, Folder, thaw, tool } from './harness.ts'

const PRELOAD = { LD_PRELOAD: tool('kill-at-ptrace.so') }
const EVERY = Number(process.env['KILL_EVERY'] ?? 9)
const DAY_MS = 86_400_000
const FROM = Math.floor(Date.now() / DAY_MS) % EVERY

/** 0 for a process that is gone. */
function tracerOf(pid: number): number {
  try {
    return Number(/^TracerPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  } catch {
    return 0
  }
}

// The end of a leader whose threads are traced is told to nobody before somebody has heard of theirs.
test.for(['idle', 'two-threads'])(
  'the dump of a killed target ends: %s',
  async (name) => {
    using folder = new Folder()
    let killed = 0
    for (let at = 1 + FROM, ended = false; !ended; at += EVERY) {
      await using program = await FixtureProgram.start(name)
      const env = { ...PRELOAD, KILL_AT: String(at), KILL_PID: String(program.pid) }
      const { status, stderr } = await thaw(['dump', String(program.pid), '--leave-running', '--images', folder.file(`at-${at}`)], { env })
      ended = program.running
      if (!ended) killed++
      // Once everything is known of it, its end changes nothing.
      if (status !== 0) expect({ at, status, stderr }).toMatchObject({ status: 1, stderr: expect.stringMatching(/ended|was killed/) })
      await eventually(() => tracerOf(program.pid) === 0)
    }
    expect(killed).toBeGreaterThan(2)
    await expectNothingLeft()
  },
  600_000,
)
