import { closeSync, openSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool, openHost } from '../../dist/core/index.js'
import { FixtureProgram } from '../fixtures/program.ts'

afterAll(closeCheckpointPool)

test.each([
  ['tcp-listening', 'THAW_PORT_TAKEN', /port \d+ is taken/],
  ['unix-listening', 'THAW_NAME_TAKEN', /\/listening is taken/],
  ['file-locks', 'THAW_FILE_LOCKED', /holds a lock/],
  ['named-pipe', 'THAW_PIPE_IN_USE', /reads from it/],
  ['empty-named-pipe', 'THAW_PIPE_IN_USE', /reads from it/],
])('%s: what the running original holds is not taken from it', async (name, code, words) => {
  await using program = await FixtureProgram.start(name)
  await using image = (await checkpoint(program.pid, { then: 'resume' })).image
  await using host = await openHost()
  await using template = await image.load(host, { network: 'host' })
  const nothing = openSync('/dev/null', 'r+')
  const attempt = template.spawn({ stdio: [nothing, nothing, nothing] })
  await expect(attempt).rejects.toMatchObject({ code, message: expect.stringMatching(words) as string })
  closeSync(nothing)
  expect(await program.check()).toEqual(['ok'])
})
