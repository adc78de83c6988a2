import { closeSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { openHost, type Host } from '../../dist/core/sandbox/host.js'
import type { Sandbox } from '../../dist/core/sandbox/sandbox.js'
import { isAlive, quiet, run, sandboxDescriptors, withinASecond } from './harness.ts'

let host: Host
let sandbox: Sandbox
beforeAll(async () => {
  host = await openHost()
  sandbox = await host.createSandbox({ network: 'new' })
})
afterAll(() => host[Symbol.asyncDispose]())

test('arguments, environment and working directory arrive as given', async () => {
  const show = 'printf "%s|" "$0" "$@"; pwd; env | grep -cE "^(ONE|TWO|NONE)="; echo "$TWO"'
  const env = { PATH: process.env['PATH'], ONE: '1', TWO: 'zwei = 2\nund mehr', NONE: undefined }
  const { output } = await run(sandbox, 'sh', ['-c', show, 'a b', '', 'ü'], { cwd: '/usr', env })
  expect(output).toBe('a b||ü|/usr\n2\nzwei = 2\nund mehr\n')
})

test('a megabyte of environment', async () => {
  const variables = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`LARGE_${i}`, 'x'.repeat(64 * 1024)]))
  const env = { PATH: process.env['PATH'], ...variables }
  const { output } = await run(sandbox, 'sh', ['-c', 'echo ${#LARGE_15}'], { env })
  expect(output).toBe(`${64 * 1024}\n`)
})

test('standard streams are the ones given, and nothing else is open', async () => {
  const [reading, writing] = native.pipe(0)
  await using other = await host.createSandbox({ network: 'new' })
  const child = await other.start('readlink', ['/proc/self/fd/0', '/proc/self/fd/2', '/proc/self/fd/3'], {
    stdio: [reading, writing, quiet[2]],
  })
  expect(await child.exited).toEqual({ code: 1, signal: null })
  closeSync(writing)
  const lines = Buffer.from(native.read(reading, 1000)!).toString().split('\n')
  expect(lines).toEqual([expect.stringMatching(/^pipe:/), '/dev/null', ''])
  closeSync(reading)
})

test('a session of its own, default signals, no signal blocked', async () => {
  const { output } = await run(sandbox, 'cat', ['/proc/self/stat', '/proc/self/status'])
  const [pid, , , parent, group, session] = output.split(' ')
  expect([parent, group, session]).toEqual(['1', pid, pid])
  for (const mask of ['SigBlk', 'SigIgn', 'SigCgt']) expect(output).toMatch(new RegExp(`^${mask}:\\s+0+$`, 'm'))
})

test('exit codes and signals', async () => {
  expect((await run(sandbox, 'sh', ['-c', 'exit 7'])).status).toEqual({ code: 7, signal: null })
  expect((await run(sandbox, 'sh', ['-c', 'kill -TERM $$'])).status).toEqual({ code: null, signal: 15 })
})

test('pids, as seen here and inside', async () => {
  const child = await sandbox.start('sleep', ['1000'], { stdio: quiet })
  expect(readFileSync(`/proc/${child.pid}/status`, 'utf8')).toMatch(new RegExp(`^NSpid:.*\\t${child.innerPid}$`, 'm'))
  expect(sandbox.pidOf(child.innerPid)).toBe(child.pid)
  expect(sandbox.pidOf(31_999)).toBeUndefined()
  child.kill(15)
  expect(await child.exited).toEqual({ code: null, signal: 15 })
  child.kill(15)
  expect(isAlive(child.pid)).toBe(false)
})

test('finds grandchildren, and the exits of orphans', async () => {
  const [reading, writing] = native.pipe(0)
  const child = await sandbox.start('sh', ['-c', 'sh -c "exec sleep 1000" & echo $!; wait'], { stdio: [quiet[0], writing, quiet[2]] })
  const grandchild = Number(Buffer.from(native.read(reading, 100)!).toString())
  const pid = sandbox.pidOf(grandchild)!
  expect(isAlive(pid)).toBe(true)
  const orphan = sandbox.exitOf(grandchild)
  child.kill(9)
  await child.exited
  expect(isAlive(pid)).toBe(true)
  native.kill(pid, 15)
  expect(await orphan).toEqual({ code: null, signal: 15 })
  for (const fd of [reading, writing]) closeSync(fd)
})

test('many at once', async () => {
  const runs = await Promise.all(Array.from({ length: 50 }, (_, i) => run(sandbox, 'sh', ['-c', `echo ${i}; exit ${i}`])))
  expect(runs.map(({ output, status }) => [Number(output), status.code])).toEqual(runs.map((_, i) => [i, i]))
})

test('a program is looked for in the PATH of its own environment', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'thaw-test-'))
  try {
    mkdirSync(join(folder, 'true'))
    writeFileSync(join(folder, 'false'), '')
    symlinkSync('/bin/echo', join(folder, 'say'))
    const env = { PATH: `${folder}:/usr/bin:/bin` }
    expect((await run(sandbox, 'say', ['x'], { env })).output).toBe('x\n')
    expect((await run(sandbox, './say', ['y'], { env, cwd: folder })).output).toBe('y\n')
    // A folder and a file that cannot be executed are passed over.
    expect((await run(sandbox, 'true', [], { env })).status.code).toBe(0)
    expect((await run(sandbox, 'false', [], { env })).status.code).toBe(1)
    const missing = run(sandbox, 'say', [], { env: { PATH: '/usr/bin' } })
    await expect(missing).rejects.toMatchObject({ code: 'THAW_CANNOT_START', path: 'say', message: expect.stringContaining('/usr/bin') })
  } finally {
    rmSync(folder, { recursive: true })
  }
})

const cannotStart = (call: { syscall: string; errno: number }): object => ({ name: 'SandboxError', code: 'THAW_CANNOT_START', ...call })

test('what cannot be executed is an error that says why', async () => {
  await expect(run(sandbox, '/does/not/exist')).rejects.toMatchObject(cannotStart({ syscall: 'execve', errno: 2 }))
  await expect(run(sandbox, '/etc/passwd')).rejects.toMatchObject(cannotStart({ syscall: 'execve', errno: 13 }))
  await expect(run(sandbox, 'true', [], { cwd: '/does/not/exist' })).rejects.toMatchObject(cannotStart({ syscall: 'chdir', errno: 2 }))
  await expect(run(sandbox, 'true', ['a\0b'])).rejects.toThrow(TypeError)
  expect((await run(sandbox, 'echo', ['fine'])).output).toBe('fine\n')
  expect(readFileSync(`/proc/${sandbox.initPid}/task/${sandbox.initPid}/children`, 'latin1')).toBe('')
})

test('when the sandbox goes, everything in it was killed', async () => {
  const before = sandboxDescriptors().length
  const other = await host.createSandbox({ network: 'new' })
  const child = await other.start('sleep', ['1000'], { stdio: quiet })
  const never = other.exitOf(4711)
  await other[Symbol.asyncDispose]()
  expect(await child.exited).toEqual({ code: null, signal: 9 })
  expect(await never).toEqual({ code: null, signal: 9 })
  expect(isAlive(child.pid)).toBe(false)
  await expect(run(other, 'true')).rejects.toMatchObject({ code: 'THAW_SANDBOX_GONE' })
  await withinASecond(() => sandboxDescriptors().length === before)
})

test('a killed init is told from a request that failed', async () => {
  await using other = await host.createSandbox({ network: 'new' })
  const child = await other.start('sleep', ['1000'], { stdio: quiet })
  native.kill(other.initPid, 9)
  expect(await child.exited).toEqual({ code: null, signal: 9 })
  await expect(run(other, 'true')).rejects.toMatchObject({ name: 'SandboxError', code: 'THAW_SANDBOX_GONE', pid: other.initPid })
})

test('nothing inside can hurt init', async () => {
  const { status } = await run(sandbox, 'sh', ['-c', 'for s in 1 2 3 6 9 11 15 19; do kill -$s 1; done'])
  expect(status.code).toBe(0)
  expect((await run(sandbox, 'echo', ['fine'])).output).toBe('fine\n')
})
