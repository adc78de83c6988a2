import { closeSync, existsSync, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool, openHost } from '../../dist/core/index.js'
import { native } from '../../dist/native/index.js'
import { FixtureProgram } from '../fixtures/program.ts'
import { restored } from '../fixtures/round-trip.ts'

afterAll(closeCheckpointPool)

/** In `pty.c`, the descriptor of the first master. */
const MASTER = 3

test.for(['pty', 'pty-data'])('what was looked at in %s stands where it stood', async (name, { skip }) => {
  await using program = await FixtureProgram.start(name)
  skip(program.skipped !== undefined, program.skipped)
  for (let times = 0; times < 3; times++) {
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

test('a number that is taken where the copy has no terminals of its own is told by its name', async ({ skip }) => {
  await using program = await FixtureProgram.start('pty')
  skip(program.skipped !== undefined, program.skipped)
  skip(process.getuid?.() !== 0, 'only root chooses pids')
  await using image = (await checkpoint(program.pid, { then: 'kill' })).image
  for (let turns = 0; existsSync(`/proc/${program.pid}`) && turns < 500; turns++) await sleep(10)
  skip(existsSync(`/proc/${program.pid}`), 'init does not reap')

  const nothing = openSync('/dev/null', 'r+')
  // Other tests may have had lower ones.
  const taken = Array.from({ length: 16 }, () => openSync('/dev/ptmx', 'r+'))
  try {
    await using host = await openHost()
    await using template = await image.load(host, { network: 'host', pidNamespace: 'current' })
    await expect(template.spawn({ stdio: [nothing, nothing, nothing] })).rejects.toMatchObject({
      code: 'THAW_PTY_TAKEN',
      message: expect.stringMatching(/\/dev\/pts\/\d+ is taken/),
    })
  } finally {
    for (const fd of [nothing, ...taken]) closeSync(fd)
  }
})

test("another copy of it, which has the same numbers, is in nobody's way", async ({ skip }) => {
  await using program = await FixtureProgram.start('pty')
  skip(program.skipped !== undefined, program.skipped)
  await using image = (await checkpoint(program.pid, { then: 'kill' })).image
  await using host = await openHost()
  await restored(image, host, 'host', () =>
    restored(image, host, 'host', async (pid) => {
      await using _again = (await checkpoint(pid)).image
    }),
  )
})
