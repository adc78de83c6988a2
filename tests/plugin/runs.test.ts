/** The plugin in a run of its own: every version of Vitest, every pool. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { OuterProject, VERSIONS } from './outer-project.ts'

const POOLS = [['forks'], ['threads'], ['vmThreads'], ['forks', '--no-isolate']]

describe.each(VERSIONS)('%s', (version) => {
  it.each(POOLS.map((pool) => [pool.join(' '), pool] as const))(
    'pool %s: every test starts from the one warm-up',
    async (_, [pool, ...args]) => {
      await using project = new OuterProject(version)
      const { exitCode, text, tests } = await project.run('shop', `--pool=${pool}`, ...args)

      expect(tests.filter(({ status }) => status === 'failed')).toEqual([])
      expect({ exitCode, passed: tests.filter(({ status }) => status === 'passed').length }, text).toEqual({ exitCode: 0, passed: 21 })
      expect(project.read('warm-ups').trim().split('\n')).toHaveLength(1)
      expect(await project.leftovers(1000)).toEqual([])

      const costs = tests.flatMap(({ meta }) => meta.thaw ?? [])
      expect(costs.filter(({ restoreMs, waitMs }) => !(restoreMs > 0 && waitMs > 0))).toEqual([])
      expect(costs.reduce((sum, { warmUps }) => sum + warmUps, 0)).toBe(2)
      const restores = costs.reduce((sum, { restores }) => sum + restores, 0)
      expect(text).toMatch(
        new RegExp(
          `Thaw  ${restores} restores, [\\d.]+ ms each \\(a test waited [\\d.]+ ms\\); ${restores - 2} starts avoided, [\\d.]+ s saved`,
        ),
      )
    },
  )

  it('a fixture of several commands, with connections between them and children', async () => {
    await using project = new OuterProject(version)
    const { exitCode, text, tests } = await project.run('pair')
    expect({ exitCode, failed: tests.flatMap(({ failureMessages }) => failureMessages) }, text).toEqual({ exitCode: 0, failed: [] })
    expect(tests).toHaveLength(4)
    expect(await project.leftovers(1000)).toEqual([])
  })

  it.each(['vmThreads', 'vmForks'])('pool %s: a worker has one line, whatever the number of its files', async (pool) => {
    await using project = new OuterProject(version)
    for (let file = 0; file < 12; file++)
      writeFileSync(join(project.folder, `line-${file}.test.ts`), "import { looks } from './lines.ts'\nlooks()\n")
    const { exitCode, text, tests } = await project.run('line-', `--pool=${pool}`, '--maxWorkers=1', '--vmMemoryLimit=4GB')
    expect({ exitCode, failed: tests.flatMap(({ failureMessages }) => failureMessages) }, text).toEqual({ exitCode: 0, failed: [] })
    expect(tests).toHaveLength(12)
    expect(text).not.toContain('MaxListenersExceededWarning')
    expect(project.read('warm-ups').trim().split('\n')).toHaveLength(1)
    expect(await project.leftovers(1000)).toEqual([])
  })

  it('hundreds of connections at once', async () => {
    await using project = new OuterProject(version)
    const { exitCode, text, tests } = await project.run('connections')
    expect({ exitCode, failed: tests.flatMap(({ failureMessages }) => failureMessages) }, text).toEqual({ exitCode: 0, failed: [] })
    expect(tests).toHaveLength(3)
    expect(await project.leftovers(1000)).toEqual([])
  })

  it('each project has fixtures of its own', async () => {
    await using project = new OuterProject(version)
    const { exitCode, text, tests } = await project.run('--config=projects.config.ts')
    expect({ exitCode, failed: tests.flatMap(({ failureMessages }) => failureMessages) }, text).toEqual({ exitCode: 0, failed: [] })
    expect(tests).toHaveLength(2)
  })

  it.each(['forks', 'threads'])('pool %s: fetch goes into the sandbox where the environment of the tests has its own', async (pool) => {
    await using project = new OuterProject(version)
    const { exitCode, text, tests } = await project.run('browser-like', '--environment=./browser-like.ts', `--pool=${pool}`)
    expect({ exitCode, failed: tests.flatMap(({ failureMessages }) => failureMessages) }, text).toEqual({ exitCode: 0, failed: [] })
    expect(tests).toHaveLength(4)
  })

  it('neither a warm-up nor waiting for one counts against the timeout of a test', async () => {
    await using project = new OuterProject(version)
    const { exitCode, text, tests } = await project.run('patient', '--hookTimeout=2500')
    expect({ exitCode, failed: tests.flatMap(({ failureMessages }) => failureMessages) }, text).toEqual({ exitCode: 0, failed: [] })
    const waits = tests.flatMap(({ meta }) => meta.thaw?.waitMs ?? [])
    expect(waits).toHaveLength(2)
    expect(Math.max(...waits), 'waiting for a warm-up is not waiting for a copy').toBeLessThan(2500)
  })

  it.each([
    ["['json', { stdout: true }]", 'stderr', (report: string) => expect(JSON.parse(report)).toMatchObject({ numPassedTests: 2 })],
    ["'tap'", 'stderr', (report: string) => expect(report).toMatch(/^TAP version 13\n1\.\.1\nok 1 [^]*\n\}\n?$/)],
    ["'dot'", 'stdout', (report: string) => expect(report).toContain('2 passed')],
  ] as const)('with the reporter %s, the summary goes to %s', async (reporter, stream, holds) => {
    await using project = new OuterProject(version)
    const config = project.read('vitest.config.ts').replace('test: {', `test: { reporters: [${reporter}],`)
    writeFileSync(join(project.folder, 'vitest.config.ts'), config)
    const printed = await project.print('idle')
    holds(printed.stdout)
    expect(printed[stream]).toContain('Thaw  1 restore')
  })

  it.each([['--isolate'], ['--no-isolate']])('nor is it different where hooks of the user come first: %s', async (isolation) => {
    await using project = new OuterProject(version)
    const { exitCode, text, tests } = await project.run('early-hooks', '--config=hooks.config.ts', '--maxWorkers=1', isolation)
    expect({ exitCode, failed: tests.flatMap(({ failureMessages }) => failureMessages) }, text).toEqual({ exitCode: 0, failed: [] })
    expect(tests).toHaveLength(2)
  })

  it.each(['stack', 'list', 'parallel'])('hooks of a test have its copy where their order is "%s"', async (order) => {
    await using project = new OuterProject(version)
    const { exitCode, text, tests } = await project.run('hooks-at-once', `--sequence.hooks=${order}`)
    expect({ exitCode, failed: tests.filter(({ status }) => status !== 'passed') }, text).toEqual({ exitCode: 0, failed: [] })
    expect(tests).toHaveLength(3)
    expect(tests.map(({ meta }) => meta.thaw?.restores)).toEqual([1, 3, 1])
  })

  it('where they begin at once, one test whose copy cannot be made fails in each of its attempts, for that reason', async () => {
    await using project = new OuterProject(version)
    const { tests } = await project.run('tried-again', '--sequence.hooks=parallel')
    expect(tests.map(({ status }) => status)).toEqual(['failed', 'passed'])
    expect(tests.flatMap(({ failureMessages }) => failureMessages)).toEqual(Array(3).fill(expect.stringContaining('no seed data')))
  })
})
