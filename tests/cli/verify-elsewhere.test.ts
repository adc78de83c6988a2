/** An image is checked for what it is: not for whether this user, in this network, could restore it. */
import { chmodSync, cpSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool } from '../../dist/core/index.js'
import { FixtureProgram } from '../fixtures/program.ts'
import { expectNothingLeft, Folder, ordinary, thaw } from './harness.ts'

afterAll(closeCheckpointPool)

test.skipIf(ordinary.length === 0).each(['tcp-pair', 'udp-queue'])('an ordinary user verifies the image of %s', async (name) => {
  using folder = new Folder()
  await using program = await FixtureProgram.start(name)
  const { image } = await checkpoint(program.pid, { to: join(program.folder, 'images') })
  await image[Symbol.asyncDispose]()
  cpSync(join(program.folder, 'images'), folder.file('images'), { recursive: true })
  chmodSync(folder.file('images'), 0o755)
  for (const file of ['manifest.json', 'metadata.bin', 'pages.bin']) chmodSync(folder.file(`images/${file}`), 0o644)
  expect(await thaw(['verify', folder.file('images')], { wrapper: ordinary })).toMatchObject({ status: 0, stderr: '' })
  const { status, stdout } = await thaw(['inspect', '--program', folder.file('images')], { wrapper: ordinary })
  expect({ status, root: /^program \d+ root /m.test(stdout) }).toEqual({ status: 0, root: true })
  expectNothingLeft()
})
