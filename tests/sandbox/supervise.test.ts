import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { initProgram, isAlive, ordinary, startEngine, withinASecond } from './harness.ts'

const supervise = [initProgram, 'supervise', '--']
const children = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number)

/** All processes below, as this process sees them. */
const descendants = (pid: number): number[] => children(pid).flatMap((child) => [child, ...descendants(child)])

const privileges = [
  { who: 'root or who runs this', wrapper: supervise },
  { who: 'an ordinary user', wrapper: [...ordinary, ...supervise] },
]

for (const { who, wrapper } of privileges) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    test(`${signal} does not end it (${who})`, async () => {
      const { child } = await startEngine('stay', wrapper)
      const below = descendants(child.pid!)
      // init, engine, host, init of the sandbox, sleep
      expect(below).toHaveLength(5)
      child.kill(signal)
      await new Promise((resolve) => setTimeout(resolve, 50))
      for (const pid of below) expect(isAlive(pid)).toBe(true)
      child.stdin!.end()
      await once(child, 'exit')
      await withinASecond(() => below.every((pid) => !isAlive(pid)))
    })
  }

  test(`the end of its standard input ends everything (${who})`, async () => {
    const { child } = await startEngine('stay', wrapper)
    const below = descendants(child.pid!)
    child.stdin!.write('data is no end')
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(below.every(isAlive)).toBe(true)
    child.stdin!.end()
    await once(child, 'exit')
    expect(child.exitCode).toBe(0)
    await withinASecond(() => below.every((pid) => !isAlive(pid)))
  })

  test(`kill -9 of it ends everything (${who})`, async () => {
    const { child } = await startEngine('stay', wrapper)
    const below = descendants(child.pid!)
    child.kill('SIGKILL')
    await withinASecond(() => below.every((pid) => !isAlive(pid)))
    child.stdin!.destroy()
  })

  test(`kill -9 of its init ends everything (${who})`, async () => {
    const { child } = await startEngine('stay', wrapper)
    const below = descendants(child.pid!)
    process.kill(below[0]!, 'SIGKILL')
    await once(child, 'exit')
    expect(child.exitCode).toBe(128 + 9)
    await withinASecond(() => below.every((pid) => !isAlive(pid)))
    child.stdin!.destroy()
  })
}

const statusOf = async (script: string): Promise<number | null> => {
  const child = spawn(initProgram, ['supervise', '/bin/sh', '-c', script], { stdio: ['pipe', 'inherit', 'inherit'] })
  await once(child, 'exit')
  child.stdin.destroy()
  return child.exitCode
}

test('hands the exit status on', async () => {
  expect(await statusOf('exit 7')).toBe(7)
  expect(await statusOf('kill -9 $$')).toBe(128 + 9)
  expect(await statusOf('(sleep 0.05; exit 3) & exit 4')).toBe(4)
})

test('COMMAND keeps its other descriptors, and is the only one to', async () => {
  const script = 'echo hello >&3; exec 3>&-; readlink /proc/self/fd/0; sleep 1000'
  const child = spawn(initProgram, ['supervise', '/bin/sh', '-c', script], { stdio: ['pipe', 'pipe', 'inherit', 'pipe'] })
  const third = text(child.stdio[3] as NodeJS.ReadableStream)
  const [standardInput] = (await once(child.stdout, 'data')) as [Buffer]
  // Ends although COMMAND, supervise and its init live.
  expect(await third).toBe('hello\n')
  expect(String(standardInput)).toBe('/dev/null\n')
  child.stdin.end()
  await once(child, 'exit')
})

test('userns: the same ids, all capabilities, over execve', () => {
  const [file = '', ...args] = [...ordinary, initProgram, 'userns', '/bin/sh', '-c', 'id -u; id -g; grep CapEff /proc/self/status']
  const { stdout, status } = spawnSync(file, args, { encoding: 'utf8' })
  expect(status).toBe(0)
  const id = ordinary.length > 0 ? 65534 : process.getuid?.()
  expect(stdout).toMatch(new RegExp(`^${id}\n\\d+\nCapEff:\\s0+1ff`))
})

const run = (...args: string[]) => spawnSync(initProgram, args, { encoding: 'utf8', stdio: ['inherit', 'pipe', 'pipe'] })

test('wrong usage and commands that do not exist', () => {
  expect(run()).toMatchObject({ status: 2, stderr: expect.stringContaining('usage') })
  expect(run('dance').status).toBe(2)
  expect(run('supervise', '--').status).toBe(2)
  expect(run('userns').status).toBe(2)
  expect(run('userns', '/does/not/exist')).toMatchObject({ status: 3, stderr: 'thaw-init: execve: errno 2\n' })
})
