/** A tree whose processes come and go while it is looked at, and in whatever state of coming or going they are frozen. */

import { closeSync, openSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool, openHost } from '../../dist/core/index.js'
import { FixtureProgram } from '../fixtures/program.ts'

afterAll(closeCheckpointPool)

const TIMES = 20
const EXECUTIONS = 50
/** Of fleeing.c: each has one process at a time, or two. */
const CHAINS = 3

test.for(['coming-and-going', 'passing-children'])('%s is frozen at any time, runs on, and its copy does', async (name, { skip }) => {
  await using program = await FixtureProgram.start(name)
  skip(program.skipped !== undefined, program.skipped)
  for (let i = 0; i < TIMES; i++) {
    await using _image = (await checkpoint(program.pid)).image
  }
  await using image = (await checkpoint(program.pid, { then: 'kill' })).image
  await using host = await openHost()
  await using template = await image.load(host, { network: 'host' })
  const nothing = openSync('/dev/null', 'r+')
  await using _copy = await template.spawn({ stdio: [nothing, nothing, nothing] })
  closeSync(nothing)
  expect(await program.check()).toEqual(['ok'])
})

test('a tree whose processes start the next one and end, faster than they can be stopped, is taken whole or given up, and runs on', async () => {
  await using program = await FixtureProgram.start('fleeing')
  for (let i = 0; i < TIMES; i++) {
    try {
      await using image = (await checkpoint(program.pid)).image
      expect(image.model.processes.length).toBeGreaterThanOrEqual(1 + CHAINS)
    } catch (error) {
      expect(error).toMatchObject({ code: 'THAW_PROCESSES_FLEE' })
    }
  }
  expect(await program.check()).toEqual(['ok'])
})

test('a process whose threads execute its program anew is taken, or given up by name, and runs on', async () => {
  await using program = await FixtureProgram.start('executing')
  for (let i = 0; i < EXECUTIONS; i++) {
    const error: unknown = await checkpoint(program.pid).then(
      ({ image }) => image[Symbol.asyncDispose](),
      (error: unknown) => error,
    )
    if (error !== undefined) expect(error).toMatchObject({ code: expect.stringMatching(/^THAW_/) })
  }
  expect(await program.check()).toEqual(['ok'])
})
