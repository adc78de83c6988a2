/** What the leader of a session has made that has ended since: its pid is the session's, and nobody else can have it. */
import { closeSync, constants, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool, openHost, type Sandbox } from '../../dist/core/index.js'
import { childrenOf } from '../../dist/core/proc/tree.js'
import { native } from '../../dist/native/index.js'

const program = new URL('../../build/Release/fixtures/lost-maker', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'lost-maker-'))
const [trigger, report] = [join(folder, 'trigger'), join(folder, 'report')]
const nothing = openSync('/dev/null', 'r+')
const stdio = [nothing, nothing, nothing] as const
const host = await openHost()
afterAll(async () => {
  await host[Symbol.asyncDispose]()
  await closeCheckpointPool()
  closeSync(nothing)
  rmSync(folder, { recursive: true })
})

const soon = { interval: 10, timeout: 10_000 }

/** It waits for somebody to open the pipe. */
function waits({ initPid }: Sandbox): boolean {
  const [pid, ...others] = childrenOf(initPid)
  return (
    pid !== undefined && others.length === 0 && readFileSync(`/proc/${pid}/syscall`, 'utf8').startsWith(`${native.syscalls['openat']} `)
  )
}

/** Opens the pipe; false where nobody waits there yet: a checkpoint interrupts the wait, which then begins anew. */
function wake(): boolean {
  try {
    closeSync(openSync(`${trigger}.fifo`, constants.O_WRONLY | constants.O_NONBLOCK))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error
    return existsSync(report)
  }
}

async function check(): Promise<string> {
  writeFileSync(trigger, '')
  await expect.poll(wake, soon).toBe(true)
  await expect.poll(() => existsSync(report) && readFileSync(report, 'utf8') !== '', soon).toBe(true)
  const text = readFileSync(report, 'utf8')
  for (const file of [trigger, report]) rmSync(file)
  return text
}

test('shows who has made it in each copy, and in copies of a copy', async () => {
  await using sandbox = await host.createSandbox({ network: 'new' })
  await sandbox.start(program, [trigger, report], { stdio: [nothing, nothing, nothing] })
  await expect.poll(() => waits(sandbox), soon).toBe(true)
  await using image = (await checkpoint({ belowInit: sandbox.initPid }, { then: 'kill' })).image
  await using template = await image.load(host, { network: 'new' })
  for (let copies = 0; copies < 2; copies++) {
    await using copy = await template.spawn({ stdio })
    await expect.poll(() => waits(copy.sandbox), soon).toBe(true)
    await using again = (await checkpoint({ belowInit: copy.sandbox.initPid })).image
    expect(await check()).toBe('ok\n')
    await using second = await again.load(host, { network: 'new' })
    await using copyOfCopy = await second.spawn({ stdio })
    await expect.poll(() => waits(copyOfCopy.sandbox), soon).toBe(true)
    expect(await check()).toBe('ok\n')
  }
})
