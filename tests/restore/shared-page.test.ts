/** Memory that processes share is made ahead, by the spare; where that fails, the first process makes it, or tells why it cannot. */

import { execFileSync } from 'node:child_process'
import { openSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool, openHost, type Template } from '../../dist/core/index.js'
import { FixtureProgram } from '../fixtures/program.ts'
import { missing } from '../programs/installed.ts'

const nothing = openSync('/dev/null', 'r+')
const stdio = [nothing, nothing, nothing] as const
const RECVMSG = 47

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

/** The next spare, once it waits to be asked. */
async function spareOf({ pid }: Template): Promise<number> {
  const spare = (): number => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim())
  const call = (): string => (spare() === 0 ? '' : readFileSync(`/proc/${spare()}/syscall`, 'utf8'))
  await expect.poll(call, { interval: 5, timeout: 20_000 }).toMatch(new RegExp(`^${RECVMSG} `))
  return spare()
}
