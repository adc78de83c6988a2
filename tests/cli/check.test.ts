import { describe, expect, test } from 'vitest'
import { expectNothingLeft, ordinary, thaw } from './harness.ts'

interface Report {
  readonly canCheckpoint: boolean
  readonly canRestore: boolean
  readonly features: readonly { readonly name: string; readonly works: boolean; readonly neededFor: string; readonly reason: string }[]
}

describe.each([
  { who: 'root or who runs this', wrapper: [] },
  { who: 'an ordinary user', wrapper: ordinary },
])('as $who', ({ wrapper }) => {
  test('every feature is told, and those that are missing with their reason', async () => {
    const { status, stdout, stderr } = await thaw(['check', '--json'], { wrapper })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const { features, ...able } = JSON.parse(stdout) as Report
    expect(able).toEqual({ canCheckpoint: true, canRestore: true })
    expect(features.length).toBeGreaterThan(15)
    for (const { works, reason } of features) expect(works || reason !== '').toBe(true)
    await expectNothingLeft()
  })
})

test('for people it is a table', async () => {
  const { stdout } = await thaw(['check'])
  expect(stdout).toMatch(/^yes {2}Linux on x86-64 /)
  expect(stdout).toMatch(/^This machine can checkpoint and can restore\.$/m)
})

test('where nothing can be restored it says why, with status 3', async () => {
  const wrapper = ['unshare', '--user', '--map-root-user', 'sh', '-c', 'echo 0 > /proc/sys/user/max_pid_namespaces && exec "$@"', 'sh']
  const { status, stdout } = await thaw(['check', '--json'], { wrapper })
  const { features, ...able } = JSON.parse(stdout) as Report
  expect(able).toEqual({ canCheckpoint: false, canRestore: false })
  expect(features.find(({ name }) => name.startsWith('namespaces'))).toMatchObject({
    works: false,
    reason: expect.stringContaining('max_pid_namespaces'),
  })
  expect(status).toBe(3)
})
