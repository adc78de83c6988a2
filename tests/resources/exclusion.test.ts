/** What can be of one instance at a time is known from the image. */
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool } from '../../dist/core/index.js'
import { exclusionOf } from '../../dist/core/resources/exclusion.js'
import { FixtureProgram } from '../fixtures/program.ts'

afterAll(closeCheckpointPool)

test.each([
  ['tcp-listening', 'none'],
  ['deleted-file', 'none'],
  ['unix-stream', 'none'],
  ['file-locks', 'running'],
  ['unix-files', 'existing'],
  ['unix-named', 'existing'],
  ['named-pipe', 'existing'],
  ['empty-named-pipe', 'existing'],
])('%s: %s', async (name, exclusion) => {
  await using program = await FixtureProgram.start(name)
  await using image = (await checkpoint(program.pid, { then: 'resume' })).image
  expect(exclusionOf(image.model)).toBe(exclusion)
})
