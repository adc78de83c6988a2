/** Pipes of a user who has as much in them as fs.pipe-user-pages-soft allows, whose new ones hold less. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Target } from '../native/harness.ts'
import { FixtureProgram } from '../fixtures/program.ts'
import { expectNothingLeft, failing, Folder, ordinary, thaw } from './harness.ts'

/** Nobody else's, whose pipes would be smaller, too. */
const OTHER = ordinary.map((argument) => argument.replace('65534', '65533'))
const PAGES_PER_PIPE = 16
const pages = Number(readFileSync('/proc/sys/fs/pipe-user-pages-soft', 'utf8'))
const HOLD = `import os\nfor _ in range(${pages / PAGES_PER_PIPE + 1}): os.pipe()\nos.read(0, 1)`

test.skipIf(ordinary.length === 0)('a restore says so', async ({ skip }) => {
  skip(pages === 0, 'fs.pipe-user-pages-soft is off')
  using folder = new Folder()
  const images = folder.file('images')
  await using program = await FixtureProgram.start('open-pipe', { wrapper: OTHER })
  expect(await thaw(['dump', String(program.pid), '--images', images], { wrapper: OTHER })).toMatchObject({ status: 0, stderr: '' })
  using _holder = new Target('/usr/bin/env', [...OTHER, '/usr/bin/python3', '-c', HOLD])
  const failure = await failing(['restore', '--images', images, '--detach'], { wrapper: OTHER })
  expect(failure).toMatchObject({ code: 'THAW_PIPE_SIZE', syscall: 'fcntl', message: expect.stringContaining('pipe-user-pages-soft') })
  await expectNothingLeft()
})
