/** Copies of one image have nothing in common that could be missed: neither with each other, nor with the template. */
import { closeSync, openSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool, openHost } from '../../dist/core/index.js'
import { FixtureProgram } from '../fixtures/program.ts'

afterAll(closeCheckpointPool)

const programs = ['shared-memory', 'memfd', 'mapped-memfds', 'deleted-file', 'shared-deleted-mapping', 'eventfd', 'epoll-modes']

test.each(programs)('%s: a copy beside another copy can be checkpointed', async (name) => {
  await using program = await FixtureProgram.start(name)
  await using image = (await checkpoint(program.pid, { then: 'kill' })).image
  await using host = await openHost()
  await using template = await image.load(host, { network: 'new' })
  const nothing = openSync('/dev/null', 'r+')
  try {
    await using one = await template.spawn({ stdio: [nothing, nothing, nothing] })
    await using _other = await template.spawn({ stdio: [nothing, nothing, nothing] })
    await using again = (await checkpoint(one.pid)).image
    expect(again.sizeBytes).toBeGreaterThan(0)
  } finally {
    closeSync(nothing)
  }
})
