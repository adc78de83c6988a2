/** Limits of time that users set: none, or what a timer can have. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { thaw } from '../../dist/plugin/config/plugin.js'
import { defineFixture } from '../../dist/plugin/worker/fixture.js'
import { OuterProject, VERSIONS } from './outer-project.ts'

const IMPOSSIBLE = [-1, Number.NaN, Number.NEGATIVE_INFINITY, 2 ** 31, 1e300, '500' as unknown as number]
const POSSIBLE = [0, 1, 0.5, 2 ** 31 - 1, Number.POSITIVE_INFINITY, undefined]

describe.each([
  ['thaw({ warmUpTimeoutMs })', (ms?: number) => thaw(ms === undefined ? {} : { warmUpTimeoutMs: ms })],
  [
    "defineFixture('shop', …, { warmUpTimeoutMs })",
    (ms?: number) => defineFixture('shop', () => {}, ms === undefined ? {} : { warmUpTimeoutMs: ms }),
  ],
] as const)('%s', (option, set) => {
  it.each(IMPOSSIBLE)('%s is an error', (ms) => {
    expect(() => set(ms)).toThrow(expect.objectContaining({ name: 'FixtureError', code: 'THAW_TIMEOUT' }) as Error)
    expect(() => set(ms)).toThrow(`${option} is `)
  })
  it.each(POSSIBLE)('%s is none', (ms) => {
    set(ms)
  })
})

describe.each(VERSIONS)('%s', (version) => {
  it.each(['0', 'Infinity'])('%s is no limit, and a negative one an error', async (none) => {
    await using project = new OuterProject(version)
    const config = project.read('vitest.config.ts').replace('thaw()', `thaw({ warmUpTimeoutMs: ${none} })`)
    writeFileSync(join(project.folder, 'vitest.config.ts'), config)
    const { text, tests } = await project.run('no-limit')
    expect(
      tests.map(({ status }) => status),
      text,
    ).toEqual(['passed', 'passed', 'passed', 'passed', 'failed'])
    expect(tests[4]?.failureMessages.join()).toContain(
      `The warm-up of fixture "negative" failed: start('node', …, { readyTimeoutMs }) is -1: it takes milliseconds, up to 2147483647.`,
    )
  })
})
