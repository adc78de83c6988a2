/** Watch mode: what is warm stays warm, until its definition changes, or the config. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { OuterProject, until, VERSIONS } from './outer-project.ts'

describe.each(VERSIONS)('%s', (version) => {
  it('a fixture stays warm until its definition changes', async () => {
    await using project = new OuterProject(version)
    const watched = watch(project)
    await watched.ran()
    expect(watched.text()).toContain('1 passed')
    await watched.edit('watched.test.ts', 'toBe(200)', 'toEqual(200)')
    expect(project.read('warm-ups')).toBe('one warm-up\n')

    await watched.edit('watched.test.ts', 'one warm-up', 'another warm-up')
    expect(project.read('warm-ups')).toBe('one warm-up\nanother warm-up\n')

    await watched.end()
    expect(watched.text()).not.toMatch(/FAIL|failed/)
    expect(await project.leftovers(1000)).toEqual([])
  })

  it('and until what its source means has changed', async () => {
    await using project = new OuterProject(version)
    const watched = watch(project, 'seeded')
    await watched.ran()
    await watched.edit('seeded.test.ts', 'toBe(200)', 'toEqual(200)')
    expect(project.read('warm-ups')).toBe('ten\n')

    await watched.edit('seed.ts', 'ten', 'twenty')
    expect(project.read('warm-ups')).toBe('ten\ntwenty\n')
    await watched.end()
    expect(watched.text()).not.toMatch(/FAIL|failed/)
  })

  it('and until a file changes that no test imports, if the config has tests run then', async () => {
    await using project = new OuterProject(version)
    const config = project.read('vitest.config.ts').replace('test: {', "test: { forceRerunTriggers: ['**/counter-server.js'],")
    writeFileSync(join(project.folder, 'vitest.config.ts'), config)
    const watched = watch(project)
    await watched.ran()
    await watched.edit('counter-server.js', 'let count = 0', 'let count = 10')
    expect(project.read('warm-ups')).toBe('one warm-up\none warm-up\n')
    await watched.end()
    expect(watched.text()).not.toMatch(/FAIL|failed/)
  })

  it('after an edit of the config, tests have their snapshots again', async () => {
    await using project = new OuterProject(version)
    const watched = watch(project)
    await watched.ran()
    const [engine] = engines(project)

    // Twice: Vitest closes what the first edit has closed already once more.
    for (const timeout of ['21_000', '22_000']) {
      await watched.edit('vitest.config.ts', /2\d_000/, timeout)
      expect(watched.text()).not.toMatch(/FAIL|failed|error/i)
    }
    expect(project.read('warm-ups')).toMatch(/^(one warm-up\n){3,}$/)
    expect(engines(project)).toHaveLength(1)
    expect(engines(project)).not.toContain(engine)

    await watched.end()
    expect(await project.leftovers(1000)).toEqual([])
  })
})

function watch(project: OuterProject, tests = 'watched') {
  const run = project.watch(tests)
  let text = ''
  run.all.on('data', (chunk) => (text += chunk))
  const runs = (): number => text.match(/(Waiting|Watching) for file changes/g)?.length ?? 0
  const ran = (after = 0): Promise<boolean> => until(() => runs() > after)
  return {
    text: () => text,
    ran,
    /** Resolves after the run that it leads to. */
    edit: async (file: string, from: string | RegExp, to: string): Promise<void> => {
      const before = runs()
      writeFileSync(join(project.folder, file), project.read(file).replace(from, to))
      await ran(before)
    },
    end: async () => {
      run.kill('SIGINT')
      await run
    },
  }
}

/** Their pids. */
function engines(project: OuterProject): number[] {
  return project.processes().flatMap(({ pid, command }) => (/^\S*node \S*engine\/main/.test(command) ? pid : []))
}
