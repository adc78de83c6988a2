/** A process that is killed while its tree stands still. */

import { expect, test } from 'vitest'
import { checkpointTree } from '../../dist/core/checkpoint/checkpoint.js'
import { CheckpointError } from '../../dist/core/index.js'
import { childrenOf } from '../../dist/core/proc/tree.js'
import { FixtureProgram } from '../fixtures/program.ts'

const COUNT = 4

/** Steps, and the how manieth of a name: before any process is looked at, while others are, while the one is that is killed. */
const steps = [
  ['descriptors', 1],
  ['processes', 1],
  ['mappings', 1],
  ...['mappings', 'page tables', 'threads', 'parasite'].map((step) => [step, COUNT] as const),
] as const

test.each(steps)('its end at the step %s %i is told by name, and the others run on', async (at, turn) => {
  await using program = await FixtureProgram.start('processes', { args: [`${COUNT}`] })
  const victim = childrenOf(program.pid).at(-1)!
  let isFrozen = false
  let turns = 0
  const onStep = (step: string): void => {
    isFrozen ||= step === 'freeze'
    if (isFrozen && step === at && ++turns === turn) process.kill(victim, 'SIGKILL')
  }
  const error: unknown = await checkpointTree(program.pid, { onStep }).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(CheckpointError)
  expect(error).toMatchObject({ code: 'THAW_PROCESS_DIED', pid: victim })
  expect(program.running).toBe(true)
})
