/** A restore into the pid namespace of this process that comes to nothing: no init ends what was there of it. */
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool } from '../../dist/core/index.js'
import { treeBelow } from '../../dist/core/proc/tree.js'
import { failing } from '../cli/harness.ts'
import { FixtureProgram } from '../fixtures/program.ts'

afterAll(closeCheckpointPool)

const core = new URL('../../dist/core/index.js', import.meta.url).href

const SETTLE_MS = 300
const WITHIN_MS = 10_000
const MOMENTS = [
  ['loaded', 0],
  ['loaded', 1],
  ['loaded', 3],
  ['parked', 0],
] as const

/** Restores, says how far that is, and goes on when somebody ends it. */
const RESTORE = `
import { openSync } from 'node:fs'
const { openHost, openImage } = await import('${core}')
const nothing = openSync('/dev/null', 'r+')
const host = await openHost()
const image = await openImage(process.argv[1])
const template = await image.load(host, { network: 'host', pidNamespace: 'current' })
process.stdout.write('loaded ')
await template.spawn({ stdio: [nothing, nothing, nothing], standby: true })
process.stdout.write('parked ')
setInterval(() => {}, 1000)
`

/** Is killed when it has opened the gate, and has not looked at what came of that. */
const OPEN_AND_DIE = RESTORE.replace('await template.spawn', 'const instance = await template.spawn').replace(
  'setInterval',
  `instance.letGo()
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${SETTLE_MS})
process.kill(process.pid, 'SIGKILL')
setInterval`,
)

const stateOf = (pid: number): string => {
  try {
    return /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? ''
  } catch {
    return ''
  }
}
/** Those of the pids that somebody has, be it a zombie. */
const had = (pids: readonly number[]): number[] => pids.filter((pid) => stateOf(pid) !== '')
const alive = (pids: readonly number[]): number[] => pids.filter((pid) => !['', 'Z', 'X'].includes(stateOf(pid)))
const reaped = async (pids: readonly number[]): Promise<boolean> => {
  for (let turns = 0; turns < 500 && had(pids).length > 0; turns++) await sleep(10)
  return had(pids).length === 0
}

/** @returns its pids, and those that its process groups are known by */
async function dumped(program: FixtureProgram, folder: string): Promise<number[]> {
  await using image = (await checkpoint(program.pid, { then: 'kill' })).image
  await image.write(folder)
  await program.kill()
  const { processes, zombies } = image.model
  return [...new Set([...processes, ...zombies].flatMap(({ pid, groupId }) => [pid, groupId]))]
}

describe.skipIf(process.getuid?.() !== 0)('as root', () => {
  test.each(['sessions', 'processes', 'family'])('%s: the engine is killed before the gate', async (name) => {
    await using program = await FixtureProgram.start(name)
    const folder = join(program.folder, 'images')
    const pids = await dumped(program, folder)
    for (const [until, delayMs] of MOMENTS) {
      if (!(await reaped(pids))) throw new Error(`init does not reap ${had(pids).join(' ')}`)
      const engine = spawn(process.execPath, ['--input-type=module', '-e', RESTORE, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
      let said = ''
      engine.stdout.on('data', (chunk) => (said += chunk))
      await expect.poll(() => said, { interval: 1, timeout: WITHIN_MS }).toContain(until)
      await sleep(delayMs)
      expect(engine.exitCode).toBeNull()
      engine.kill('SIGKILL')
      // What had been asked for may only begin.
      await sleep(SETTLE_MS)
      await expect.poll(() => alive(pids), { timeout: WITHIN_MS, message: `${delayMs} ms after it was ${until}` }).toEqual([])
    }
  })

  describe.each(['the first process', 'another process'])('%s fails behind the gate', (which) => {
    /** One with the limits of a process of ours can set them again, with the others it fails. */
    const limit = (pids: readonly number[]): void => {
      const others = which === 'the first process' ? pids.slice(1) : pids.slice(0, -1)
      for (const pid of others) spawnSync('prlimit', ['--pid', String(pid), '--nofile=500:500'])
    }
    const wrapper = ['setpriv', '--bounding-set=-sys_resource', 'prlimit', '--nofile=600:600']

    test('and is told', async () => {
      await using program = await FixtureProgram.start('processes')
      const folder = join(program.folder, 'images')
      limit(treeBelow([program.pid]))
      const pids = await dumped(program, folder)
      if (!(await reaped(pids))) throw new Error(`init does not reap ${had(pids).join(' ')}`)
      const failure = await failing(['restore', '--images', folder, '--pid-namespace', 'current'], { wrapper })
      expect(failure).toMatchObject({ status: 1, code: 'THAW_LIMIT' })
      expect(alive(pids)).toEqual([])
    })

    test('and the engine is killed', async () => {
      await using program = await FixtureProgram.start('processes')
      const folder = join(program.folder, 'images')
      limit(treeBelow([program.pid]))
      const pids = await dumped(program, folder)
      if (!(await reaped(pids))) throw new Error(`init does not reap ${had(pids).join(' ')}`)
      const [file = '', ...args] = [...wrapper, process.execPath, '--input-type=module', '-e', OPEN_AND_DIE, folder]
      const engine = spawnSync(file, args, { stdio: ['ignore', 'ignore', 'inherit'] })
      expect(engine.signal).toBe('SIGKILL')
      await expect.poll(() => alive(pids), { timeout: WITHIN_MS }).toEqual([])
    })
  })

  test('the engine is killed when it runs', async () => {
    await using program = await FixtureProgram.start('family')
    const folder = join(program.folder, 'images')
    const pids = await dumped(program, folder)
    if (!(await reaped(pids))) throw new Error(`init does not reap ${had(pids).join(' ')}`)
    const args = ['--input-type=module', '-e', OPEN_AND_DIE, folder]
    expect(spawnSync(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] }).signal).toBe('SIGKILL')
    expect(await program.check()).toEqual(['ok'])
  })
})
