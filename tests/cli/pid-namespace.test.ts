/** `--pid-namespace current`: the pids of the image among those of everybody else. */
import { readFileSync, readlinkSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { childrenOf } from '../../dist/core/proc/tree.js'
import { Counter, eventually, expectNothingLeft, failing, Folder, isAlive, ordinary, startThaw, thaw, tool } from './harness.ts'

// Only root chooses pids outside of namespaces of their own.
describe.skipIf(ordinary.length === 0)('as root', () => {
  let folder: Folder
  let counter: Counter

  beforeEach(async () => {
    folder = new Folder()
    counter = await Counter.start(folder)
    expect((await thaw(['dump', String(counter.pid), '--images', folder.file('images')])).status).toBe(0)
    // Frees the pid.
    await counter[Symbol.asyncDispose]()
  })

  afterEach(async () => {
    folder[Symbol.dispose]()
    await expectNothingLeft()
  })

  const restoring = (...more: string[]): string[] => ['restore', '--images', folder.file('images'), '--pid-namespace', 'current', ...more]
  const isGroup = (id: number): boolean => {
    try {
      return process.kill(-id, 0)
    } catch {
      return false
    }
  }
  const statusOf = (pid: number, name: string): string | undefined =>
    new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]

  test('--detach: it has its own pid again, and all namespaces of this process but the one of time', async () => {
    const { status, stdout, stderr } = await thaw(restoring('--detach', '--json', '--pid-file', folder.file('pid')))
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const { pid } = counter
    expect(JSON.parse(stdout)).toMatchObject({ pid, innerPid: pid })
    expect(readFileSync(folder.file('pid'), 'utf8')).toBe(`${pid}\n`)
    await counter.expectToGoOn()
    for (const name of ['pid', 'mnt', 'net', 'ipc', 'uts', 'user'])
      expect([name, readlinkSync(`/proc/${pid}/ns/${name}`)]).toEqual([name, readlinkSync(`/proc/self/ns/${name}`)])
    expect(statusOf(pid, 'NSpid')).toBe(String(pid))
    process.kill(pid, 'SIGKILL')
    await eventually(() => !isAlive(pid))
  })

  test('in the foreground its end is the end of the command', async () => {
    const command = startThaw(restoring())
    await counter.expectToGoOn()
    expect(statusOf(counter.pid, 'PPid')).toBe(String(command.pid))
    command.kill('SIGTERM')
    expect(await new Promise((resolve) => command.once('exit', (code) => resolve(code)))).toBe(128 + 15)
  })

  test('in the foreground, its orphans are adopted by who adopts those of this process', async () => {
    using own = new Folder()
    const orphans = await Counter.start(own, tool('orphans'))
    const adopter = (): bigint => readFileSync(orphans.file).readBigUInt64LE(8)
    await eventually(() => readFileSync(orphans.file).length >= 16)
    const before = adopter()
    expect((await thaw(['dump', String(orphans.pid), '--images', own.file('images')])).status).toBe(0)
    await orphans[Symbol.asyncDispose]()
    // Its orphans, too, until when its group is there.
    await eventually(() => !isGroup(orphans.pid))
    const command = startThaw(['restore', '--images', own.file('images'), '--pid-namespace', 'current'])
    const ended = new Promise((resolve) => command.once('exit', (code) => resolve(code)))
    try {
      for (let i = 0; i < 5; i++) await orphans.expectToGoOn()
      expect(adopter()).toBe(before)
      // One that came while the command still adopted is reaped by it.
      await eventually(() => childrenOf(command.pid ?? 0).every(isAlive))
    } finally {
      command.kill('SIGTERM')
    }
    expect(await ended).toBe(128 + 15)
  })

  test('a pid that is taken: said by whom, and whoever has it is left alone', async () => {
    const { pid } = counter
    await thaw(restoring('--detach'))
    await counter.expectToGoOn()
    const failure = await failing(restoring('--detach', '--pid-file', folder.file('pid')))
    expect(failure).toMatchObject({ status: 1, name: 'RestoreError', code: 'THAW_PID_TAKEN', pid })
    expect(failure.message).toContain(`pid ${pid} is taken, by counter`)
    expect(folder.names).not.toContain('pid')
    await counter.expectToGoOn()
    process.kill(pid, 'SIGKILL')
    await eventually(() => !isAlive(pid))
  })

  test('an ordinary user', async () => {
    using own = new Folder()
    await using held = await Counter.start(own, tool('counter'), { wrapper: ordinary })
    const images = own.file('images')
    expect((await thaw(['dump', String(held.pid), '--images', images], { wrapper: ordinary })).status).toBe(0)
    const failure = await failing(['restore', '--detach', '--images', images, '--pid-namespace', 'current'], { wrapper: ordinary })
    expect(failure).toMatchObject({ status: 3, name: 'UnsupportedError', code: 'THAW_PIDS_REFUSED' })
  })
})
