import { readFileSync } from 'node:fs'
import { afterEach, expect, test } from 'vitest'
import { Counter, expectNothingLeft, Folder, isAlive, thaw } from './harness.ts'

afterEach(expectNothingLeft)

const stateOf = (pid: number): string | undefined => /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]

test('the process ends, and its image is complete', async () => {
  using folder = new Folder()
  await using counter = await Counter.start(folder)
  const { status, stdout } = await thaw(['dump', String(counter.pid), '--images', folder.file('images')])
  expect(stdout).toMatch(/^Checkpointed pid \d+ \(counter\) to .*: .* kB; it stood still for .* ms and has ended\.\n$/)
  expect(status).toBe(0)
  await counter.ended
  expect((await thaw(['verify', folder.file('images')])).status).toBe(0)
  expect(folder.names).toEqual(['count', 'images', 'output'])
})

test('--leave-running', async () => {
  using folder = new Folder()
  await using counter = await Counter.start(folder)
  const { status, stdout } = await thaw(['dump', String(counter.pid), '--images', folder.file('images'), '--leave-running', '--json'])
  expect(JSON.parse(stdout)).toMatchObject({ pid: counter.pid, then: 'resume', processes: [{ innerPid: counter.pid, command: 'counter' }] })
  expect(status).toBe(0)
  await counter.expectToGoOn()
})

test('--leave-stopped', async () => {
  using folder = new Folder()
  await using counter = await Counter.start(folder)
  expect((await thaw(['dump', String(counter.pid), '--images', folder.file('images'), '--leave-stopped'])).status).toBe(0)
  expect(stateOf(counter.pid)).toBe('T')
  await counter.expectToStandStill()
  process.kill(counter.pid, 'SIGCONT')
  await counter.expectToGoOn()
})

test('-v tells each step on standard error', async () => {
  using folder = new Folder()
  await using counter = await Counter.start(folder)
  const { stderr } = await thaw(['dump', String(counter.pid), '--images', folder.file('images'), '--verbose'])
  expect(stderr.split('\n')).toEqual(expect.arrayContaining(['dump: survey', 'dump: freeze', 'dump: image']))
  expect(isAlive(counter.pid)).toBe(false)
})

test('an empty folder is as good as none, and a relative one is found', async () => {
  using folder = new Folder()
  await using counter = await Counter.start(folder)
  expect(
    (await thaw(['dump', String(counter.pid), '--images', 'images', '--leave-running'], { wrapper: ['env', '-C', folder.path] })).status,
  ).toBe(0)
  expect((await thaw(['verify', folder.file('images')])).status).toBe(0)
})
