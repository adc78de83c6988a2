/** What was checkpointed can be restored, however much that takes; what cannot fails the checkpoint, and costs nobody a process. */
import { closeSync, openSync, readdirSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool, openHost } from '../../dist/core/index.js'
import { FixtureProgram } from '../fixtures/program.ts'

afterAll(closeCheckpointPool)

test('programs of more than 64 MB', async () => {
  await using program = await FixtureProgram.start('many-full-sockets')
  await using image = (await checkpoint(program.pid, { then: 'kill' })).image
  const nothing = openSync('/dev/null', 'r+')
  try {
    await using host = await openHost()
    await using template = await image.load(host, { network: 'host' })
    await using _ = await template.spawn({ stdio: [nothing, nothing, nothing] })
    expect(await program.check()).toEqual(['ok'])
  } finally {
    closeSync(nothing)
  }
})

test.each(['resume', 'stop', 'kill'] as const)('address spaces that do not fit beside each other, %s', async (then) => {
  await using program = await FixtureProgram.start('far-reservation')
  await expect(checkpoint(program.pid, { then })).rejects.toMatchObject({
    name: 'UnsupportedError',
    code: 'THAW_TOO_LARGE',
    message: expect.stringMatching(/^Cannot checkpoint: .* leave no room for that\. Reserve less memory/),
  })
  expect(await program.check()).toEqual(['ok'])
})

/** Descriptors below are all taken, so that `free` more can be opened. */
function withRoomFor<T>(free: number, action: () => Promise<T>): Promise<T> {
  const held: number[] = []
  const fill = (): void => {
    try {
      for (;;) held.push(openSync('/dev/null', 'r'))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EMFILE') throw error
    }
    for (const fd of held.splice(0, free)) closeSync(fd)
  }
  fill()
  return action().finally(() => held.splice(0).forEach((fd) => closeSync(fd)))
}

test('a template that cannot be started leaves no descriptors behind', async () => {
  await using program = await FixtureProgram.start('idle')
  await using image = (await checkpoint(program.pid)).image
  await using host = await openHost()
  const before = readdirSync('/proc/self/fd').length
  for (let free = 1; free <= 6; free++)
    await withRoomFor(free, () => expect(image.load(host, { network: 'host' })).rejects.toThrow(/EMFILE|open files/))
  expect(readdirSync('/proc/self/fd').length).toBe(before)
})
