import { readFileSync, writeSync } from 'node:fs'
import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { openHost } from '../../dist/core/sandbox/host.js'
import { isAlive, namespaceOf, run, sandboxDescriptors, withinASecond } from './harness.ts'

const always = ['pid', 'mnt', 'ipc', 'uts']

test('makes namespaces with an init of ours', async () => {
  await using host = await openHost()
  await using sandbox = await host.createSandbox({ network: 'new' })
  for (const name of [...always, 'net', 'time_for_children']) expect(namespaceOf(sandbox.initPid, name)).not.toBe(namespaceOf('self', name))
  expect(namespaceOf(sandbox.initPid, 'user')).toBe(namespaceOf('self', 'user'))
  expect(readFileSync(`/proc/${sandbox.initPid}/comm`, 'utf8')).toBe('thaw-init\n')
  expect(readFileSync(`/proc/${sandbox.initPid}/status`, 'utf8')).toMatch(/^NSpid:\s+.*\t1$/m)
})

test('keeps the network of this process when asked to', async () => {
  await using host = await openHost()
  await using sandbox = await host.createSandbox({ network: 'host' })
  expect(namespaceOf(sandbox.initPid, 'net')).toBe(namespaceOf('self', 'net'))
  for (const name of always) expect(namespaceOf(sandbox.initPid, name)).not.toBe(namespaceOf('self', name))
})

test('mounts of the sandbox, its /proc among them, are not seen here', async () => {
  const before = readFileSync('/proc/self/mountinfo', 'utf8')
  await using host = await openHost()
  await using sandbox = await host.createSandbox({ network: 'new' })
  expect((await run(sandbox, 'sh', ['-c', 'ls -d /proc/[0-9]* | wc -l'])).output.trim()).toMatch(/^[2345]$/)
  expect(readFileSync(`/proc/${sandbox.initPid}/mountinfo`, 'utf8')).not.toMatch(/shared:/)
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).toBe(before)
})

test('clocks can be set until somebody lives by them', async () => {
  await using host = await openHost()
  await using sandbox = await host.createSandbox({ network: 'host' })
  const hour = 3600
  const offsets = Buffer.from(`monotonic ${hour} 0\nboottime ${hour} 0\n`)
  writeSync(sandbox.timeOffsetsFd, offsets)
  // In hundredths of a second, as /proc prints them: whole numbers, whose difference is exact.
  const hundredths = (uptime: string): number => Number(uptime.split(' ')[0]?.replace('.', ''))
  const outside = hundredths(readFileSync('/proc/uptime', 'utf8'))
  const inside = hundredths((await run(sandbox, 'cat', ['/proc/uptime'])).output)
  expect(inside - outside).toBeGreaterThanOrEqual(hour * 100)
  expect(inside - outside).toBeLessThan((hour + 10) * 100)
  expect(() => writeSync(sandbox.timeOffsetsFd, offsets)).toThrowError(expect.objectContaining({ code: 'EACCES' }))
})

test('disposing leaves no process and no descriptor', async () => {
  const before = sandboxDescriptors()
  const host = await openHost()
  const sandboxes = await Promise.all(Array.from({ length: 8 }, () => host.createSandbox({ network: 'new' })))
  await sandboxes[3]![Symbol.asyncDispose]()
  expect(isAlive(sandboxes[3]!.initPid)).toBe(false)
  expect(isAlive(sandboxes[4]!.initPid)).toBe(true)
  await host[Symbol.asyncDispose]()
  for (const { initPid } of sandboxes) expect(isAlive(initPid)).toBe(false)
  expect(isAlive(host.pid)).toBe(false)
  await withinASecond(() => sandboxDescriptors().length === before.length)
})

test('2,000 sandboxes in a row leave nothing behind', { timeout: 120_000 }, async () => {
  await using host = await openHost()
  const memory = (): string => readFileSync(`/proc/${host.pid}/statm`, 'latin1').split(' ').slice(0, 2).join()
  const cycle = async (): Promise<number> => {
    await using sandbox = await host.createSandbox({ network: 'new' })
    return sandbox.initPid
  }
  await cycle()
  const [descriptorsBefore, memoryBefore] = [sandboxDescriptors().length, memory()]
  for (let i = 0; i < 2000; i++) await cycle()
  expect(memory()).toBe(memoryBefore)
  expect(readFileSync(`/proc/${host.pid}/task/${host.pid}/children`, 'latin1')).toBe('')
  await withinASecond(() => sandboxDescriptors().length === descriptorsBefore)
})

test('a host that was killed is an error, and what it made lives on', async () => {
  await using host = await openHost()
  await using sandbox = await host.createSandbox({ network: 'new' })
  native.kill(host.pid, 9)
  const gone = { name: 'SandboxError', code: 'THAW_SANDBOX_GONE' }
  await withinASecond(() => !isAlive(host.pid))
  await expect(host.createSandbox({ network: 'new' })).rejects.toMatchObject(gone)
  expect((await run(sandbox, 'echo', ['still here'])).output).toBe('still here\n')
})

test('after its disposal a host makes nothing', async () => {
  const host = await openHost()
  await host[Symbol.asyncDispose]()
  await host[Symbol.asyncDispose]()
  await expect(host.createSandbox({ network: 'new' })).rejects.toMatchObject({ code: 'THAW_SANDBOX_GONE' })
})
