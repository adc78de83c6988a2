/** What a user sees when something is wrong with a test, a fixture or a name. */
import { beforeAll, describe, expect, it } from 'vitest'
import { type Outcome, OuterProject, VERSIONS } from './outer-project.ts'

describe.each(VERSIONS)('%s', (version) => {
  it('a failing test shows what its copy printed', async () => {
    await using project = new OuterProject(version)
    const { text, tests } = await project.run('broken-output')
    expect(tests.map(({ status }) => status)).toEqual(['failed', 'passed', 'passed'])
    expect(text).toContain("AssertionError: expected 'this' to be 'that'")
    expect(text).toContain('--- stdout of counter\nrequest /complain\n\n--- stderr of counter\nsomething is wrong\n')
    // Where the test failed is still found: the last line of the frame that is shown.
    expect(text).toContain("expect('this').toBe('that')")
    expect(tests[0]?.failureMessages.join()).toContain('something is wrong')
    expect(await project.leftovers(1000)).toEqual([])
  })

  describe('a warm-up that fails', () => {
    let outcome: Outcome
    beforeAll(async () => {
      await using project = new OuterProject(version)
      outcome = await project.run('broken-warm-up')
      expect(await project.leftovers(1000)).toEqual([])
    })
    it.each([
      ['throws', 'The warm-up of fixture "throws" failed: no seed data'],
      ['throws, too', 'The warm-up of fixture "throws" failed: no seed data'],
      ['missing', 'The warm-up of fixture "missing" failed: Cannot start no-such-command'],
      [
        'ends',
        'The warm-up of fixture "ends" failed: `node -e console.log("no licence"); process.exit(4)` ended before it was ready, with status 4; ' +
          'it is ready when port 3000 accepts connections. It printed:\nno licence',
      ],
      ['slow', 'was not ready after 1200 ms: it is ready when port 3001 accepts connections. It printed:\nlistening'],
      [
        'late',
        `The warm-up of fixture "late" failed: it was not done after 200 ms; defineFixture('late', …, { warmUpTimeoutMs }) gives it longer`,
      ],
      ['empty', 'The warm-up of "empty" started nothing: there is nothing to restore. Use start().'],
      ['uncloneable', 'failed: what it returns is kept with the snapshot, and this cannot be cloned'],
      ['fetching', 'failed: it returns a property "fetch", but "fetching.fetch" is something else'],
    ])('%s', (name, message) => {
      const test = outcome.tests.find(({ fullName }) => fullName.trim() === name)
      expect(test?.status).toBe('failed')
      expect(test?.failureMessages.join()).toContain(message)
    })
  })

  it('a test whose fixture cannot be made fails in each of its attempts', async () => {
    await using project = new OuterProject(version)
    const { tests } = await project.run('tried-again')
    expect(tests.map(({ status }) => status)).toEqual(['failed', 'passed'])
    expect(tests.flatMap(({ failureMessages }) => failureMessages)).toEqual(Array(3).fill(expect.stringContaining('no seed data')))
  })

  it('so do fixtures and hooks that are made of it, for the same reason', async () => {
    await using project = new OuterProject(version)
    const { text, tests } = await project.run('broken-dependent')
    expect(
      tests.map(({ status }) => status),
      text,
    ).toEqual(['failed', 'failed', 'failed', 'passed'])
    for (const { failureMessages } of tests.slice(0, 3))
      expect(failureMessages).toEqual(Array(3).fill(expect.stringContaining('The warm-up of fixture "broken" failed: no seed data')))
  })

  it('two warm-ups of one name are an error that names both', async () => {
    await using project = new OuterProject(version)
    const { tests } = await project.run('conflict')
    expect(tests.map(({ status }) => status).sort()).toEqual(['failed', 'passed'])
    const messages = tests.flatMap(({ failureMessages }) => failureMessages).join()
    expect(messages).toMatch(
      /Fixture "taken" is defined in \S*conflict-\w+\.test\.ts and in \S*conflict-\w+\.test\.ts\. A name stands for one warm-up/,
    )
  })

  it('a function that makes two fixtures of one name is an error, and no copy of the other one', async () => {
    await using project = new OuterProject(version)
    const { tests } = await project.run('made')
    expect(tests.map(({ status }) => status)).toEqual(['passed', 'failed'])
    expect(tests.flatMap(({ failureMessages }) => failureMessages).join()).toMatch(
      /Fixture "made" is defined at \S*made\.ts:4:\d+, called from \S*made\.test\.ts:\d+:\d+ and at \S*made\.ts:4:\d+, called from /,
    )
  })

  it('the same warm-up in two files is one fixture', async () => {
    await using project = new OuterProject(version)
    const { tests } = await project.run('alike')
    expect(tests.map(({ status }) => status)).toEqual(['passed', 'passed'])
    expect(tests.reduce((sum, { meta }) => sum + (meta.thaw?.warmUps ?? 0), 0)).toBe(1)
  })
})
