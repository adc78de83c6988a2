/** The file of a unix socket belongs to whoever listens there; that of a socket that is gone makes way. */
import { closeSync, existsSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool, type Image, type Instance, openHost } from '../../dist/core/index.js'
import { FixtureProgram } from '../fixtures/program.ts'

const host = openHost()
afterAll(async () => {
  await (await host)[Symbol.asyncDispose]()
  await closeCheckpointPool()
})

async function spawn(image: Image, network: 'host' | 'new'): Promise<Instance> {
  const template = await image.load(await host, { network })
  const nothing = openSync('/dev/null', 'r+')
  try {
    return await template.spawn({ stdio: [nothing, nothing, nothing] })
  } finally {
    closeSync(nothing)
    await template[Symbol.asyncDispose]()
  }
}

describe.each(['stream', 'seqpacket', 'datagram', 'renamed'])('%s', (kind) => {
  test.each(['host', 'new'] as const)('of the original, which lives, with the network %s', async (network) => {
    await using program = await FixtureProgram.start('unix-files', { args: [kind] })
    await using image = (await checkpoint(program.pid, { then: 'resume' })).image
    await expect(spawn(image, network)).rejects.toMatchObject({
      name: 'RestoreError',
      code: 'THAW_NAME_TAKEN',
      message: expect.stringContaining(`${join(program.folder, kind)} is taken`) as string,
    })
    expect(await program.check()).toEqual(['ok'])
  })

  test('of the original, which was killed just now, and of copies one after the other', async () => {
    await using program = await FixtureProgram.start('unix-files', { args: [kind] })
    await using image = (await checkpoint(program.pid, { then: 'kill' })).image
    expect(existsSync(join(program.folder, kind))).toBe(true)
    for (const network of ['host', 'new', 'new'] as const) {
      await using _copy = await spawn(image, network)
      await expect(spawn(image, 'new')).rejects.toMatchObject({ code: 'THAW_NAME_TAKEN' })
      expect(await program.check()).toEqual(['ok'])
      program.forgetReport()
    }
  })
})
