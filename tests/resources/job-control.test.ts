/** Processes that a signal has stopped stay stopped, in the original and in a copy. */

import { readFileSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { checkpointTree } from '../../dist/core/checkpoint/checkpoint.js'
import { checkpoint, closeCheckpointPool, openHost } from '../../dist/core/index.js'
import { childrenOf } from '../../dist/core/proc/tree.js'
import { FixtureProgram } from '../fixtures/program.ts'
import { restored } from '../fixtures/round-trip.ts'

afterAll(closeCheckpointPool)

const states = (pid: number): string[] =>
  childrenOf(pid).map((child) => /^State:\s+(\S)/m.exec(readFileSync(`/proc/${child}/status`, 'utf8'))?.[1] ?? '')

test('they stay stopped where they were when the tree runs on', async () => {
  await using program = await FixtureProgram.start('stopped')
  for (let i = 0; i < 3; i++) {
    await using _image = (await checkpoint(program.pid)).image
    await expect.poll(() => states(program.pid)).toEqual(['T', 'T'])
  }
  expect(await program.check()).toEqual(['ok'])
})

test('they stay stopped in a copy, which is not copied before they go on', async () => {
  await using program = await FixtureProgram.start('stopped')
  await using host = await openHost()
  await using image = (await checkpoint(program.pid, { then: 'kill' })).image
  for (let i = 0; i < 3; i++) {
    await restored(image, host, 'host', async (pid) => {
      await expect.poll(() => states(pid)).toEqual(['T', 'T'])
      await expect(checkpoint(pid)).rejects.toMatchObject({
        code: 'THAW_STOPPED',
        message: expect.stringContaining('was restored stopped'),
      })
      expect(await program.check()).toEqual(['ok'])
    })
    program.forgetReport()
  }
})

test('one is stopped while descriptors are opened that lead to threads', async ({ skip }) => {
  await using program = await FixtureProgram.start('stopped-and-pidfd')
  skip(program.skipped !== undefined, program.skipped)
  await using host = await openHost()
  await using image = (await checkpoint(program.pid, { then: 'kill' })).image
  await restored(image, host, 'host', async (pid) => {
    await expect.poll(() => states(pid)).toEqual(['T'])
    expect(await program.check()).toEqual(['ok'])
  })
})

const stateOf = (pid: number): string => /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? ''

for (const at of ['descriptors', 'threads', 'parasite'])
  for (const name of ['idle', 'two-threads']) {
    test(`${name}: stopped by a signal during the checkpoint (${at}), it goes on unharmed when it is continued`, async () => {
      await using program = await FixtureProgram.start(name)
      const { pid } = program
      const onStep = (step: string) => step === at && process.kill(pid, 'SIGSTOP')
      await expect(checkpointTree(pid, { onStep })).rejects.toMatchObject({ code: 'THAW_STOPPED' })
      await expect.poll(() => stateOf(pid)).toBe('T')
      process.kill(pid, 'SIGCONT')
      expect(await program.check()).toEqual(['ok'])
    })

    test(`${name}: stopped before and continued by a signal during the checkpoint (${at}), it goes on unharmed`, async () => {
      await using program = await FixtureProgram.start(name)
      const { pid } = program
      process.kill(pid, 'SIGSTOP')
      await expect.poll(() => stateOf(pid)).toBe('T')
      const onStep = (step: string) => step === at && process.kill(pid, 'SIGCONT')
      await expect(checkpointTree(pid, { onStep })).rejects.toMatchObject({ code: 'THAW_STOPPED' })
      expect(await program.check()).toEqual(['ok'])
    })
  }
