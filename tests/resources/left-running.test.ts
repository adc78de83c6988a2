/** To read a socket its settings are borrowed: a process that runs on after its checkpoint finds them, and its queues, as they were. */
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool } from '../../dist/core/index.js'
import { FixtureProgram } from '../fixtures/program.ts'

afterAll(closeCheckpointPool)

test.each(['tcp-pair', 'tcp-queues', 'tcp-half-closed', 'tcp-options', 'tcp-waiting', 'tcp-ended', 'tcp-orphan', 'udp-queue', 'netlink'])(
  '%s runs on',
  async (name) => {
    await using program = await FixtureProgram.start(name)
    await using _image = (await checkpoint(program.pid)).image
    expect(await program.check()).toEqual(['ok'])
  },
)
