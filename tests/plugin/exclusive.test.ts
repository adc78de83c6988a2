/** Fixtures that hold something of which there is one on the machine: their copies come one after the other. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { OuterProject, VERSIONS } from './outer-project.ts'

describe.each(VERSIONS)('%s', (version) => {
  it.each([
    ['locks on files', 'exclusive-locks', 20],
    ['paths of sockets', 'exclusive-names', 25],
  ])('%s: tests that come one after the other have them', async (_, file, count) => {
    await using project = new OuterProject(version)
    const { exitCode, text, tests } = await project.run(file, '--maxWorkers=1')
    expect({ exitCode, failed: tests.flatMap(({ failureMessages }) => failureMessages) }, text).toEqual({ exitCode: 0, failed: [] })
    expect(tests).toHaveLength(count)
    expect(await project.leftovers(1000)).toEqual([])
  })

  it('of tests that run at once, one has them, and another is told what to do', async () => {
    await using project = new OuterProject(version)
    const { text, tests } = await project.run('exclusive-at-once')
    const failures = (name: string): string[] =>
      tests.filter(({ fullName }) => fullName.includes(name)).flatMap(({ failureMessages }) => failureMessages)
    expect(failures('locks'), text).toEqual([expect.stringContaining(`holds a lock on ${join(project.folder, 'locked-by-')}`)])
    expect(failures('listens'), text).toEqual([expect.stringContaining(`listens at ${join(project.folder, 'counter.sock')}`)])
    expect(text).toMatch(/FixtureError: Another copy of the fixture.* use the fixture in one worker/)
    expect(await project.leftovers(1000)).toEqual([])
  })
})
