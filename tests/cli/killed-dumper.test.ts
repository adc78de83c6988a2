/**
 * The dumper is killed by SIGKILL after each of its steps: the target computes on, with everything that it had, and nothing more. Every step
 * is tried with KILL_EVERY=1; a test run takes a sample, another one each day.
 */
import { closeSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { treeBelow } from '../../dist/core/proc/tree.js'
import { SO_PASSCRED, SO_PEEK_OFF, SOL_SOCKET } from '../../dist/core/resources/socket/option-table.js'
import { native } from '../../dist/native/index.js'
import { FixtureProgram } from '../fixtures/program.ts'
import { restingTurns } from '../fixtures/rest.ts'
import { Counter, eventually, expectNothingLeft, Folder, isAlive, startThaw, thaw, tool } from './harness.ts'

const PRELOAD = { LD_PRELOAD: tool('kill-at-ptrace.so') }
const EVERY = Number(process.env['KILL_EVERY'] ?? 29)
const DAY_MS = 86_400_000
const FROM = Number(process.env['KILL_FROM'] ?? Math.floor(Date.now() / DAY_MS) % EVERY)
const THREADS = 5

/** What `steady` writes: a flag for each thing that it found broken, rounds of each thread. */
function read(file: string): { broken: bigint; rounds: bigint[] } {
  const bytes = readFileSync(file)
  const word = (i: number): bigint => bytes.readBigUInt64LE(i * 8)
  return { broken: word(0), rounds: Array.from({ length: THREADS }, (_, i) => word(i + 1)) }
}

/** Descriptors and mappings, and for each thread its signal mask and whether anybody traces it. */
function possessions(pid: number): string[] {
  const threads = readdirSync(`/proc/${pid}/task`).map((tid) =>
    readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8').replaceAll(/^(?!SigBlk|TracerPid).*\n/gm, ''),
  )
  const mappings = readFileSync(`/proc/${pid}/maps`, 'utf8').trim().split('\n')
  return [
    ...readdirSync(`/proc/${pid}/fd`).map((fd) => `descriptor ${fd}`),
    ...mappings.map((line) => line.replace(/^(\S+ \S+).*?(\S*)$/, '$1 $2')),
    ...threads,
  ]
}

/**
 * Dumps, killed at a step. @param steps how many another dump took: their number varies with what there is to wait for
 * @returns whether it came to its end before that step
 */
async function killedOrEnded(dump: readonly string[], at: number, steps: number): Promise<boolean> {
  const { status, stderr } = await thaw(dump, { env: { ...PRELOAD, KILL_AT: String(at) } })
  if (status === null) return false
  expect({ at, status, stderr }).toEqual({ at: expect.toSatisfy((step: number) => step > steps / 2), status: 0, stderr: '' })
  return true
}

test('the target of a killed dumper is unharmed', async () => {
  using folder = new Folder()
  // `steady` writes flags before rounds: what stands first is 0 until something breaks.
  await using steady = await Counter.start(folder, tool('steady'), {
    wrapper: ['nice', '-n', '5'],
    isReady: (file) => read(file).rounds.every((rounds) => rounds > 2n),
  })
  const before = possessions(steady.pid)
  const dump = (): string[] => {
    rmSync(folder.file('images'), { recursive: true, force: true })
    return ['dump', String(steady.pid), '--images', folder.file('images'), '--leave-running']
  }

  expect((await thaw(dump(), { env: { ...PRELOAD, KILL_COUNT: folder.file('steps') } })).status).toBe(0)
  const steps = Number(readFileSync(folder.file('steps'), 'utf8'))
  expect(steps).toBeGreaterThan(100)

  for (let at = 1 + FROM, ended = false; !ended; at += EVERY) {
    ended = await killedOrEnded(dump(), at, steps)
    const then = read(steady.file)
    await eventually(() => read(steady.file).rounds.every((rounds, i) => rounds > (then.rounds[i] ?? 0n) + 1n))
    expect({ at, broken: read(steady.file).broken, has: possessions(steady.pid) }).toEqual({ at, broken: 0n, has: before })
  }
  await expectNothingLeft()
}, 1_800_000)

test.for(['deep-stack', 'family', 'pty', 'pty-data', 'pty-data-session', 'pty-blocked'])(
  'so is another program, or a tree of them: %s',
  async (name, { skip }) => {
    using folder = new Folder()
    await using program = await FixtureProgram.start(name)
    skip(program.skipped !== undefined, program.skipped)
    const dump = ['dump', String(program.pid), '--leave-running', '--images']
    expect((await thaw([...dump, folder.file('whole')], { env: { ...PRELOAD, KILL_COUNT: folder.file('steps') } })).status).toBe(0)
    const steps = Number(readFileSync(folder.file('steps'), 'utf8'))
    const tree = treeBelow([program.pid])
    for (let at = 1 + FROM, ended = false; !ended; at += EVERY * 10) {
      ended = await killedOrEnded([...dump, folder.file(`at-${at}`)], at, steps)
      await eventually(() => restingTurns(program.pid) !== undefined)
      expect({ at, tree: treeBelow([program.pid]) }).toEqual({ at, tree })
    }
    expect(await program.check()).toEqual(['ok'])
    await expectNothingLeft()
  },
  600_000,
)

/** What a look at a queue borrows: by descriptor. */
function settings(pid: number): Record<string, number[]> {
  const pidfd = native.pidfdOpen(pid)
  const found: Record<string, number[]> = {}
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    const fd = native.pidfdGetfd(pidfd, Number(name))
    found[name] = [SO_PEEK_OFF, SO_PASSCRED].flatMap((option) => settingOf(fd, option) ?? [])
    closeSync(fd)
  }
  closeSync(pidfd)
  return found
}

function settingOf(fd: number, option: number): number | undefined {
  try {
    return Buffer.from(native.getsockopt(fd, SOL_SOCKET, option, 4)).readInt32LE()
  } catch {
    return undefined
  }
}

test.for(['unix-stream', 'unix-rights', 'unix-datagram', 'udp-queue', 'tcp-queues'])(
  'killed while it looks at what sockets hold: %s',
  async (name, { skip }) => {
    using folder = new Folder()
    await using program = await FixtureProgram.start(name)
    skip(program.skipped !== undefined, program.skipped)
    const before = settings(program.pid)
    const dump = (at: string, env: Record<string, string>): ReturnType<typeof thaw> =>
      thaw(['dump', String(program.pid), '--leave-running', '--images', folder.file(at)], {
        env: { ...PRELOAD, KILL_SETTING: '1', ...env },
      })
    // The first look is the one that sees empty messages.
    const killed = await dump('first', { KILL_AT: '1' })
    expect(killed.status).toBeNull()
    await eventually(() => JSON.stringify(settings(program.pid)) === JSON.stringify(before))
    for (let at = 2 + FROM, ended = false; !ended; at += EVERY) {
      ended = (await dump(`at-${at}`, { KILL_AT: String(at) })).status !== null
      await eventually(() => restingTurns(program.pid) !== undefined)
      expect({ at, settings: settings(program.pid) }).toEqual({ at, settings: before })
    }
    expect(await program.check()).toEqual(['ok'])
    await expectNothingLeft()
  },
  600_000,
)

test.each(['survey', 'freeze', 'threads', 'image'])('killed when it says "%s", of a target that was to end', async (step) => {
  using folder = new Folder()
  await using steady = await Counter.start(folder, tool('steady'), { isReady: (file) => read(file).rounds.every((rounds) => rounds > 2n) })
  const before = possessions(steady.pid)
  const dumping = startThaw(['dump', String(steady.pid), '--images', folder.file('images'), '--verbose'])
  await new Promise<void>((resolve) =>
    dumping.stderr!.on('data', (text: Buffer) => {
      if (!text.toString().includes(`dump: ${step}\n`)) return
      dumping.kill('SIGKILL')
      resolve()
    }),
  )
  await expectNothingLeft()
  const then = read(steady.file)
  // It may have been too late.
  if (!isAlive(steady.pid)) return expect(folder.names).toContain('images')
  await eventually(() => read(steady.file).rounds.every((rounds, i) => rounds > (then.rounds[i] ?? 0n) + 1n))
  expect({ broken: read(steady.file).broken, has: possessions(steady.pid) }).toEqual({ broken: 0n, has: before })
  expect(folder.names).not.toContain('images')
})

test('one that was killed is no obstacle for the next', async () => {
  using folder = new Folder()
  await using steady = await Counter.start(folder, tool('steady'), { isReady: (file) => read(file).rounds.every((rounds) => rounds > 2n) })
  await thaw(['dump', String(steady.pid), '--images', folder.file('first')], { env: { ...PRELOAD, KILL_AT: '150' } })
  await sleep(50)
  expect(await thaw(['dump', String(steady.pid), '--images', folder.file('second')])).toMatchObject({ status: 0, stderr: '' })
})
