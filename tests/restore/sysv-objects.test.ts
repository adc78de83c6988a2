/** System V objects of a copy in the IPC namespace of this process: what is in their way is told, and what comes to nothing leaves none. */
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool, openHost } from '../../dist/core/index.js'
import { readOwnTable } from '../../dist/core/resources/sysv/table.js'
import { native } from '../../dist/native/index.js'
import { FixtureProgram } from '../fixtures/program.ts'

afterAll(closeCheckpointPool)

const IPC_CREAT = 0o1000
const IPC_RMID = 0
const NEXT_ID = '/proc/sys/kernel/shm_next_id'
/** Of `sysv-segments`. */
const KEYS = [0x2an, 0x2bn, -7n]
const PAGE_BYTES = 4096

test('segments', async ({ skip }) => {
  skip(process.getuid?.() !== 0, 'only root chooses pids')
  await using program = await FixtureProgram.start('sysv-segments')
  skip(program.skipped !== undefined, program.skipped)
  await using image = (await checkpoint(program.pid, { then: 'kill' })).image
  const pids = image.model.processes.map(({ pid }) => pid)
  for (let turns = 0; pids.some((pid) => existsSync(`/proc/${pid}`)) && turns < 500; turns++) await sleep(10)
  const ids = image.model.sharedMemory.flatMap(({ segment }) => (segment === null ? [] : [BigInt(segment.permissions.id)]))
  const segments = (): bigint[] =>
    readOwnTable('shm').flatMap(({ key = 0n, shmid = 0n }) => (KEYS.includes(key) || ids.includes(shmid) ? [shmid] : []))
  const nothing = openSync('/dev/null', 'r+')
  await using host = await openHost()
  await using template = await image.load(host, { network: 'host', pidNamespace: 'current' })
  const options = { stdio: [nothing, nothing, nothing], standby: true } as const

  const id = native.syscall('shmget', [0x2a, PAGE_BYTES, IPC_CREAT | 0o600])
  try {
    await expect(template.spawn(options)).rejects.toMatchObject({
      name: 'RestoreError',
      code: 'THAW_SYSV_TAKEN',
      message: expect.stringMatching(new RegExp(`memory \\d+ \\(key 0x2a\\): ${id} \\(key 0x2a\\) .*ipcrm -m ${id}\\)`)),
    })
    expect(segments()).toEqual([id])
  } finally {
    native.syscall('shmctl', [id, IPC_RMID, 0])
  }

  {
    await using _parked = await template.spawn(options)
    expect(segments().toSorted()).toEqual(ids.toSorted())
    // As it stands where the kernel refuses to make one.
    writeFileSync(NEXT_ID, `${ids[0]}`)
  }
  expect(segments()).toEqual([])
  expect(readFileSync(NEXT_ID, 'utf8').trim()).toBe('-1')
  closeSync(nothing)
})
