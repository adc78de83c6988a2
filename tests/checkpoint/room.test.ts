import { expect, test } from 'vitest'
import { checkpointTree } from '../../dist/core/checkpoint/checkpoint.js'
import { FixtureProgram } from '../fixtures/program.ts'

test('a program without room to work from is refused before it is stopped', async () => {
  await using program = await FixtureProgram.start('no-room')
  const steps: string[] = []
  await expect(checkpointTree(program.pid, { onStep: (step) => steps.push(step) })).rejects.toMatchObject({
    name: 'UnsupportedError',
    code: 'THAW_NO_ROOM',
    pid: program.pid,
  })
  expect(steps).toEqual(['survey'])
  expect(await program.check()).toEqual(['ok'])
})
