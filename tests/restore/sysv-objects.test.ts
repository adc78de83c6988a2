/** System V objects of a copy in the IPC namespace of this process: what is in their way is told, and what comes to nothing leaves none. */
import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool, openHost } from '../../dist/core/index.js'
import type { Image } from '../../dist/core/index.js'
import type { SysvKind } from '../../dist/core/resources/sysv/table.js'
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
const WITHIN_MS = 10_000
const core = new URL('../../dist/core/index.js', import.meta.url).href

/** Restores, and is killed when all is there, in the way that it is told. */
const RESTORE_AND_DIE = `
import { openSync } from 'node:fs'
const { openHost, openImage } = await import('${core}')
const [folder, moment] = process.argv.slice(1)
const nothing = openSync('/dev/null', 'r+')
const template = await (await openImage(folder)).load(await openHost(), { network: 'host', pidNamespace: 'current' })
const instance = await template.spawn({ stdio: [nothing, nothing, nothing], standby: true })
if (moment === 'running') await instance.open()
process.kill(process.pid, 'SIGKILL')
`

test('segments', async ({ skip }) => {
  skip(process.getuid?.() !== 0, 'only root chooses pids')
  await using program = await FixtureProgram.start('sysv-segments')
  skip(program.skipped !== undefined, program.skipped)
  await using image = (await checkpoint(program.pid, { then: 'kill' })).image
  await gone(image.model)
  const ids = objectsOf(image.model).map(({ id }) => BigInt(id))
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

const programs = ['sysv-segments', 'sysv-queues']
const moments = programs.flatMap((name) => ['parked', 'running'].map((moment) => [name, moment] as const))

test.for(moments)('%s: the engine is killed when it is %s', async ([name, moment], { skip }) => {
  skip(process.getuid?.() !== 0, 'only root chooses pids')
  await using program = await FixtureProgram.start(name)
  skip(program.skipped !== undefined, program.skipped)
  await using image = (await checkpoint(program.pid, { then: 'kill' })).image
  const folder = join(program.folder, 'images')
  await image.write(folder)
  await gone(image.model)
  const objects = objectsOf(image.model)
  const there = (): string[] => objects.filter(isThere).map(({ kind, id }) => `${kind} ${id}`)
  expect(there()).toEqual([])
  try {
    const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', RESTORE_AND_DIE, folder, moment], { stdio: 'inherit' })
    expect(signal).toBe('SIGKILL')
    if (moment === 'parked') {
      await expect.poll(there, { timeout: WITHIN_MS }).toEqual([])
    } else {
      expect(there()).toHaveLength(objects.length)
      expect(await program.check()).toEqual(['ok'])
    }
  } finally {
    await program.kill()
    // One that was removed already is gone with the last of them.
    await gone(image.model)
    for (const object of objects.filter(isThere)) remove(object)
  }
})

interface Made {
  readonly kind: SysvKind
  readonly id: number
}

function objectsOf({ sharedMemory, semaphores, queues }: Image['model']): Made[] {
  const segments = sharedMemory.flatMap(({ segment }) => (segment === null ? [] : [segment]))
  const kinds = { shm: segments, sem: semaphores, msg: queues } as const
  return (['shm', 'sem', 'msg'] as const).flatMap((kind) => kinds[kind].map(({ permissions: { id } }) => ({ kind, id })))
}

const isThere = ({ kind, id }: Made): boolean =>
  readOwnTable(kind).some((line) => line[`${kind === 'msg' ? 'msq' : kind}id`] === BigInt(id))

const remove = ({ kind, id }: Made): unknown => native.syscall(`${kind}ctl`, kind === 'sem' ? [id, 0, IPC_RMID, 0] : [id, IPC_RMID, 0])

/** Resolves when nobody has its pids. */
async function gone({ processes }: Image['model']): Promise<void> {
  for (let turns = 0; processes.some(({ pid }) => existsSync(`/proc/${pid}`)) && turns < 500; turns++) await sleep(10)
}
