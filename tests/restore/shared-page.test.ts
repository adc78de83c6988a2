/** Memory that processes share is made ahead, by the spare; where that fails, the first process makes it, or tells why it cannot. */

import { execFileSync } from 'node:child_process'
import { openSync } from 'node:fs'
import { expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool, openHost } from '../../dist/core/index.js'
import { FixtureProgram } from '../fixtures/program.ts'
import { missing } from '../programs/installed.ts'
import { spareOf } from './spare.ts'

const nothing = openSync('/dev/null', 'r+')
const stdio = [nothing, nothing, nothing] as const

test('what a spare cannot make, the first process makes', async ({ skip }) => {
  skip(missing('prlimit') !== undefined, missing('prlimit'))
  await using program = await FixtureProgram.start('shared-memory')
  await using host = await openHost()
  await using image = (await checkpoint(program.pid, { then: 'kill' })).image
  await using template = await image.load(host, { network: 'host' })
  try {
    // The spare that was made before has none of it; those that come are to map nothing more.
    limitAddresses(template.pid, '1')
    {
      await using _first = await template.spawn({ stdio })
      limitAddresses(await spareOf(template), 'unlimited')
    }
    {
      await using _second = await template.spawn({ stdio })
      expect(await program.check()).toEqual(['ok'])
    }
    await spareOf(template)
    await expect(template.spawn({ stdio })).rejects.toMatchObject({
      code: 'THAW_RESTORE',
      syscall: 'mmap',
      message: expect.stringMatching(/^Cannot restore shared memory: mmap\(.*ENOMEM/),
    })
  } finally {
    await closeCheckpointPool()
  }
})

const limitAddresses = (pid: number, bytes: string): unknown => execFileSync('prlimit', [`--pid=${pid}`, `--as=${bytes}:`])
