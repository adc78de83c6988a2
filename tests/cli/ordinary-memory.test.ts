/** Memory that an ordinary user cannot get at by map_files, which only root may follow. */

import { afterEach, beforeEach, expect, test } from 'vitest'
import { FixtureProgram } from '../fixtures/program.ts'
import { eventually, expectNothingLeft, Folder, isAlive, ordinary, thaw } from './harness.ts'

let folder: Folder
let started: number[]

beforeEach(() => {
  folder = new Folder()
  started = []
})

afterEach(async () => {
  for (const pid of started) {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL')
    await eventually(() => !isAlive(pid))
  }
  folder[Symbol.dispose]()
  await expectNothingLeft()
})

async function restore(): Promise<void> {
  const { stdout, stderr } = await thaw(['restore', '--images', folder.file('images'), '--detach', '--json'], { wrapper: ordinary })
  expect(stderr).toBe('')
  started.push((JSON.parse(stdout) as { pid: number }).pid)
}

test.for(['only-mapped', 'forked-pool.py'])('files without a name that are only mapped: %s', async (name, { skip }) => {
  await using program = await FixtureProgram.start(name, { wrapper: ordinary, env: { PATH: '/usr/bin:/bin' } })
  skip(program.skipped !== undefined, program.skipped)
  expect(await thaw(['dump', String(program.pid), '--images', folder.file('images')], { wrapper: ordinary })).toMatchObject({
    status: 0,
    stderr: '',
  })
  await program.kill()
  await restore()
  expect(await program.check()).toEqual(['ok'])
})
