import { existsSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { Counter, eventually, expectNothingLeft, Folder, isAlive, ordinary, startThaw, thaw, type ThawOptions } from './harness.ts'

afterEach(expectNothingLeft)

/** A counter that was dumped and has ended, so that only a restored one counts on. */
async function dumped(folder: Folder, options: ThawOptions = {}): Promise<Counter> {
  const counter = await Counter.start(folder, undefined, { wrapper: options.wrapper ?? [] })
  const { status, stderr } = await thaw(['dump', String(counter.pid), '--images', folder.file('images')], options)
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  await counter.ended
  return counter
}

const restoring = (folder: Folder, ...more: string[]): string[] => ['restore', '--images', folder.file('images'), ...more]

describe.each([
  { who: 'root or who runs this', wrapper: [] },
  { who: 'an ordinary user', wrapper: ordinary },
])('as $who', ({ wrapper }) => {
  test('--detach: it goes on where it was, and lives on', async () => {
    using folder = new Folder()
    await using counter = await dumped(folder, { wrapper })
    const before = counter.count
    const { status, stdout, stderr } = await thaw(restoring(folder, '--detach', '--pid-file', folder.file('pid'), '--json'), { wrapper })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const { pid, innerPid } = JSON.parse(stdout) as { pid: number; innerPid: number }
    expect(innerPid).toBe(counter.pid)
    expect(readFileSync(folder.file('pid'), 'utf8')).toBe(`${pid}\n`)
    await eventually(() => counter.count > before)
    expect(counter.count).toBeLessThan(before + 300n)
    await counter.expectToGoOn()
    process.kill(pid, 'SIGKILL')
    await eventually(() => !isAlive(pid))
    await counter.expectToStandStill()
  })

  test('in the foreground: its end is the end of the command', async () => {
    using folder = new Folder()
    await using counter = await dumped(folder, { wrapper })
    const command = startThaw(restoring(folder), { wrapper })
    await counter.expectToGoOn()
    command.kill('SIGTERM')
    expect(await new Promise((resolve) => command.once('exit', (code) => resolve(code)))).toBe(128 + 15)
    await counter.expectToStandStill()
  })
})

test.each(['SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const)('%s reaches a process in the foreground', async (signal) => {
  using folder = new Folder()
  await using counter = await dumped(folder)
  const command = startThaw(restoring(folder))
  await counter.expectToGoOn()
  command.kill(signal)
  const numbers = { SIGINT: 2, SIGHUP: 1, SIGQUIT: 3, SIGUSR1: 10, SIGUSR2: 12 }
  expect(await new Promise((resolve) => command.once('exit', (code) => resolve(code)))).toBe(128 + numbers[signal])
})

test('kill -9 of a restore in the foreground takes the process with it', async () => {
  using folder = new Folder()
  await using counter = await dumped(folder)
  const command = startThaw(restoring(folder))
  await counter.expectToGoOn()
  command.kill('SIGKILL')
  await sleep(100)
  await counter.expectToStandStill()
})

test('kill -9 of a restore leaves nothing, however far it was', async () => {
  using folder = new Folder()
  await using counter = await dumped(folder)
  for (const delayMs of [50, 100, 150, 200, 250, 300, 350, 400, 500, 700]) {
    const command = startThaw(restoring(folder))
    await sleep(delayMs)
    command.kill('SIGKILL')
    await expectNothingLeft()
  }
  await counter.expectToStandStill()
})

test('what was restored can be dumped and restored again', async () => {
  using folder = new Folder()
  await using counter = await dumped(folder)
  for (let i = 0; i < 3; i++) {
    const { stdout } = await thaw(restoring(folder, '--detach', '--json'))
    const { pid, innerPid } = JSON.parse(stdout) as { pid: number; innerPid: number }
    expect(innerPid).toBe(counter.pid)
    await counter.expectToGoOn()
    rmSync(folder.file('images'), { recursive: true })
    expect(await thaw(['dump', String(pid), '--images', folder.file('images')])).toMatchObject({ status: 0, stderr: '' })
    await eventually(() => !isAlive(pid))
  }
  await counter.expectToStandStill()
})

test('one image can be restored many times', async () => {
  using folder = new Folder()
  await using counter = await dumped(folder)
  for (let i = 0; i < 3; i++) {
    const { stdout } = await thaw(restoring(folder, '--detach', '--json'))
    const { pid } = JSON.parse(stdout) as { pid: number }
    await counter.expectToGoOn()
    process.kill(pid, 'SIGKILL')
    await eventually(() => !isAlive(pid))
  }
})

test.each([
  ['host', true],
  ['new', false],
] as const)('--network %s', async (network, same) => {
  using folder = new Folder()
  await using _counter = await dumped(folder)
  const { stdout } = await thaw(restoring(folder, '--detach', '--json', '--network', network))
  const { pid } = JSON.parse(stdout) as { pid: number }
  expect(readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync('/proc/self/ns/net')).toBe(same)
  process.kill(pid, 'SIGKILL')
  await eventually(() => !isAlive(pid))
})

test('a pid file that cannot be written: nothing runs', async () => {
  using folder = new Folder()
  await using counter = await dumped(folder)
  for (const path of [folder.file('nowhere/pid'), folder.path]) {
    const { status, stderr } = await thaw(restoring(folder, '--detach', '--pid-file', path))
    expect(stderr).toMatch(/^RestoreError \[THAW_PID_FILE\]: /)
    expect(status).toBe(1)
    await counter.expectToStandStill()
  }
  expect(existsSync(folder.file('nowhere'))).toBe(false)
})
