/** Watch mode: what is warm stays warm, until its definition changes. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { OuterProject, until, VERSIONS } from './outer-project.ts'

it.each(VERSIONS)('%s', async (version) => {
  await using project = new OuterProject(version)
  const run = project.watch('watched')
  let text = ''
  run.all.on('data', (chunk) => (text += chunk))
  const runs = (): number => text.match(/(Waiting|Watching) for file changes/g)?.length ?? 0
  /** Resolves after the run that it leads to. */
  const edit = async (from: string, to: string): Promise<void> => {
    const before = runs()
    writeFileSync(join(project.folder, 'watched.test.ts'), project.read('watched.test.ts').replace(from, to))
    await until(() => runs() > before)
  }

  await until(() => runs() > 0)
  expect(text).toContain('1 passed')
  await edit('toBe(200)', 'toEqual(200)')
  expect(project.read('warm-ups')).toBe('one warm-up\n')

  await edit('one warm-up', 'another warm-up')
  expect(project.read('warm-ups')).toBe('one warm-up\nanother warm-up\n')

  run.kill('SIGINT')
  await run
  expect(text).not.toMatch(/FAIL|failed/)
  expect(await project.leftovers(1000)).toEqual([])
})
