/** When the engine starts, and that nothing outlives its run, however that ends. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { OuterProject, type OuterProcess, until, VERSIONS } from './outer-project.ts'

/** No copy takes longer to be taken down, or to stand by. */
const SETTLED_MS = 1000

const isEngine = ({ command }: OuterProcess): boolean => command.includes('plugin/engine/main.js') && !command.includes('thaw-init')
const isOurs = ({ command }: OuterProcess): boolean => /thaw-init|engine\/main\.js|counter-server/.test(command)

describe.each(VERSIONS)('%s', (version) => {
  it('starts nothing when no selected test needs it', async () => {
    await using project = new OuterProject(version)
    const run = project.start('idle', '-t', 'needs nothing')
    const seen = new Set<string>()
    let over = false
    void run.then(() => (over = true))
    await until(() => {
      for (const process of project.processes().filter(isOurs)) seen.add(process.command)
      return over
    })
    expect((await run).exitCode).toBe(0)
    expect([...seen]).toEqual([])
  })

  it.each(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const)('Vitest ends by %s', async (signal) => {
    await using project = new OuterProject(version)
    const run = project.start('holding')
    await until(() => project.read('holding'))
    expect(project.processes().some(isEngine)).toBe(true)
    process.kill(run.pid as number, signal)
    expect(await project.leftovers(1000)).toEqual([])
    await run
  })

  it('a worker is killed', async () => {
    await using project = new OuterProject(version)
    const run = project.start('holding', '--pool=forks')
    process.kill(Number(await until(() => project.read('holding'))), 'SIGKILL')
    expect((await run).exitCode).not.toBe(0)
    expect(await project.leftovers(1000)).toEqual([])
  })

  it('a worker is killed in its warm-up: another one takes over', async () => {
    await using project = new OuterProject(version)
    const run = project.start('long-warm-up', '--pool=forks')
    process.kill(Number(await until(() => project.read('warming'))), 'SIGKILL')
    const { all } = await run
    expect(all).toContain('1 passed')
    expect(project.read('warming').trim().split('\n')).toHaveLength(2)
    expect(await project.leftovers(1000)).toEqual([])
  })

  it('the engine is killed: the test that it served fails or ends, the next ones get a new one', async () => {
    await using project = new OuterProject(version)
    const run = project.start('holding')
    await until(() => project.read('holding'))
    const before = project.processes().filter(isOurs)
    process.kill((before.find(isEngine) as OuterProcess).pid, 'SIGKILL')
    const dead = new Set(before.map(({ pid }) => pid))
    await until(() => !project.processes().some(({ pid }) => dead.has(pid)), 1000)
    const { all } = await run
    expect(all).toContain('2 passed')
    expect(all).toContain('Thaw  the engine ended in the middle of the run: ')
    expect(project.read('warm-ups').trim().split('\n')).toHaveLength(2)
    expect(await project.leftovers(1000)).toEqual([])
  })

  it('the engine is killed in a warm-up that waits for output: that ends at once', async () => {
    await using project = new OuterProject(version)
    const run = project.start('never-prints')
    await until(() => project.read('started'))
    const killedAt = performance.now()
    process.kill((project.processes().find(isEngine) as OuterProcess).pid, 'SIGKILL')
    const { all } = await run
    expect(performance.now() - killedAt, all).toBeLessThan(15_000)
    expect(project.tests().flatMap(({ failureMessages }) => failureMessages)).toEqual([
      expect.stringContaining('EngineError: The engine that keeps snapshots has ended'),
    ])
    expect(await project.leftovers(1000)).toEqual([])
  })

  it('a test is given up while it waits for its copy: the copy that comes later is taken down', async () => {
    await using project = new OuterProject(version)
    const run = project.start('given-up')
    const servers = (): number => project.processes().filter(({ command }) => command.endsWith('counter-server.js')).length
    await until(() => project.read('warmed'))
    // The template, and the next one that stands by, for good.
    let since = performance.now()
    await until(() => {
      if (servers() !== 2) since = performance.now()
      return performance.now() - since > SETTLED_MS
    })
    writeFileSync(join(project.folder, 'looked'), '')
    const { all } = await run
    expect(all).toContain('timed out after 500ms')
    expect(all).toContain('1 failed | 1 passed')
    expect(await project.leftovers(1000)).toEqual([])
  })

  it.each([
    ['template', 'counter-server.js', 'RestoreError: Cannot restore: the template'],
    ['process that makes sandboxes', ' host', 'SandboxError: The process that makes sandboxes (thaw-init host) is gone'],
  ])('the %s is killed: a test hears of it, the next one warms up anew', async (_, name, message) => {
    await using project = new OuterProject(version)
    const run = project.start('template-killed')
    await until(() => project.read('waiting'))
    // Until the next copy stands by.
    await sleep(1000)
    const processes = project.processes()
    const engine = processes.find(({ command }) => command.endsWith('main.js') && !command.includes('supervise'))
    const victim = processes.find(({ parent, command }) => parent === engine?.pid && command.endsWith(name))
    process.kill(victim?.pid ?? Number.NaN, 'SIGKILL')
    writeFileSync(join(project.folder, 'killed'), '')
    await run
    const tests = project.tests()
    expect(tests.map(({ status }) => status)).toEqual(['passed', 'passed', 'passed', 'failed', 'passed'])
    expect(tests[3]?.failureMessages.join()).toContain(message)
    expect(project.read('warm-ups').trim().split('\n')).toHaveLength(2)
    expect(await project.leftovers(1000)).toEqual([])
  })
})
