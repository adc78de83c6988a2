import { closeSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool } from '../../dist/core/index.js'
import { native } from '../../dist/native/index.js'
import { FixtureProgram } from '../fixtures/program.ts'

afterAll(closeCheckpointPool)

/** In `pty.c`, the descriptor of the first master. */
const MASTER = 3

test('a half typed line that was looked at stands where it stood', async ({ skip }) => {
  await using program = await FixtureProgram.start('pty')
  skip(program.skipped !== undefined, program.skipped)
  for (let times = 0; times < 2; times++) {
    await using _image = (await checkpoint(program.pid)).image
  }
  expect(await program.check()).toEqual(['ok'])
})

test('one that somebody else has open, too, is refused by name', async ({ skip }) => {
  await using program = await FixtureProgram.start('pty')
  skip(program.skipped !== undefined, program.skipped)
  const pidfd = native.pidfdOpen(program.pid)
  const master = native.pidfdGetfd(pidfd, MASTER)
  // The dumper itself does not count: it looks at a copy of every descriptor.
  const holder = native.spawnProcess('/bin/sleep', ['60'], [master])
  closeSync(master)
  try {
    await expect(checkpoint(program.pid)).rejects.toMatchObject({
      code: 'THAW_PTY_OUTSIDE',
      message: expect.stringContaining(`pid ${holder.pid}, outside the tree, has open too`),
    })
  } finally {
    native.pidfdSendSignal(holder.pidfd, 9)
    while (native.reap(holder.pid) === null);
    for (const fd of [pidfd, holder.pidfd]) closeSync(fd)
  }
  expect(await program.check()).toEqual(['ok'])
})
