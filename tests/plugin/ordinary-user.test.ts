/** Everything works in a user namespace: nothing needs more than an ordinary user has. */

import { execaSync } from 'execa'
import { expect, it } from 'vitest'
import { OuterProject } from './outer-project.ts'

const NOBODY = 65534

/** Why it cannot be tried here. */
function obstacle(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, to become somebody else'
  const reaches = execaSync('test', ['-x', process.execPath], { uid: NOBODY, gid: NOBODY, reject: false })
  return reaches.exitCode === 0 ? undefined : 'an ordinary user cannot read this checkout'
}

it('an ordinary user', async ({ skip }) => {
  skip(obstacle() !== undefined, obstacle())
  await using project = new OuterProject('vitest')
  const { exitCode, text } = await project.runAs(NOBODY, 'watched')
  expect({ exitCode, passed: text.includes('1 passed') }, text).toEqual({ exitCode: 0, passed: true })
  expect(await project.leftovers(1000)).toEqual([])
})
