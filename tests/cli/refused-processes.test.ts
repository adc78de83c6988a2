/** Processes that cannot be dumped: each is refused by name, goes on as before, and nothing is left of the attempt. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, closeSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { Counter, eventually, expectNothingLeft, failing, Folder, isAlive, ordinary, thaw, tool } from './harness.ts'

afterEach(expectNothingLeft)

/** Refused, with the counter going on and nothing beside its own files in the folder. */
async function refuses(
  folder: Folder,
  pid: number,
  options: { wrapper?: readonly string[]; more?: readonly string[] } = {},
): ReturnType<typeof failing> {
  const before = folder.names
  const failure = await failing(['dump', String(pid), '--images', folder.file('images'), ...(options.more ?? [])], options)
  expect(folder.names).toEqual(before)
  expect(failure.message).toContain(`pid ${pid}`)
  return failure
}

const fieldsOf = (pid: string | number): string[] => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

test('a pid that is not there', async () => {
  using folder = new Folder()
  expect(await refuses(folder, 4_194_304)).toMatchObject({ status: 1, name: 'CheckpointError', code: 'THAW_NO_PROCESS', pid: 4_194_304 })
})

test('a process that ends meanwhile, at whatever moment', async () => {
  using folder = new Folder()
  for (let delayMs = 0; delayMs < 600; delayMs += 50) {
    await using counter = await Counter.start(folder)
    const dumping = thaw(['dump', String(counter.pid), '--images', folder.file(`images-${delayMs}`), '--json'])
    await sleep(delayMs)
    process.kill(counter.pid, 'SIGKILL')
    const { status, stdout } = await dumping
    if (status === 0) continue
    expect(status).toBeOneOf([1, 3])
    const { error } = JSON.parse(stdout) as { error: { code: string } }
    expect(error.code).toBeOneOf(['THAW_NO_PROCESS', 'THAW_PROCESS_DIED', 'THAW_ZOMBIE'])
    expect(folder.names).not.toContain(`images-${delayMs}`)
  }
})

test.skipIf(ordinary.length === 0)("a process of another user's", async () => {
  using folder = new Folder()
  await using counter = await Counter.start(folder)
  const failure = await refuses(folder, counter.pid, { wrapper: ordinary })
  expect(failure).toMatchObject({ status: 3, name: 'UnsupportedError', code: 'THAW_NO_PTRACE', pid: counter.pid })
  expect(failure.message).toMatch(/Run as the user that owns the process, or as root/)
  await counter.expectToGoOn()
})

test('a process that does not let itself be traced', async () => {
  using folder = new Folder()
  await using counter = await Counter.start(folder, undefined, { wrapper: ordinary, args: ['not-dumpable'] })
  expect(await refuses(folder, counter.pid, { wrapper: ordinary })).toMatchObject({ status: 3, code: 'THAW_NO_PTRACE' })
  await counter.expectToGoOn()
})

test.skipIf(ordinary.length === 0)('root without CAP_SYS_PTRACE', async () => {
  using folder = new Folder()
  await using counter = await Counter.start(folder, undefined, { wrapper: ordinary })
  const wrapper = ['setpriv', '--bounding-set=-sys_ptrace', '--inh-caps=-sys_ptrace']
  expect(await refuses(folder, counter.pid, { wrapper })).toMatchObject({ status: 3, code: 'THAW_NO_PTRACE' })
  await counter.expectToGoOn()
})

/** The first, which are there for good; others come and go. */
const kernelThread = readdirSync('/proc')
  .filter((pid) => /^\d+$/.test(pid))
  .sort((one, other) => Number(one) - Number(other))
  .find((pid) => (Number(fieldsOf(pid)[6]) & 0x0020_0000) !== 0)

test.skipIf(kernelThread === undefined)('a kernel thread (this pid namespace shows some)', async () => {
  using folder = new Folder()
  expect(await refuses(folder, Number(kernelThread))).toMatchObject({ status: 3, code: 'THAW_KERNEL_THREAD' })
})

const SET_UID = '/usr/bin/su'
const setsUid = existsSync('/usr/bin/python3') && existsSync(SET_UID) && (statSync(SET_UID).mode & 0o4000) !== 0

test.skipIf(ordinary.length === 0 || !setsUid)('a zombie that ran as another user, whose status this one is not told', async () => {
  using folder = new Folder()
  const script = `import os, time
os.closerange(3, 1024)
pid = os.fork()
if pid == 0: os.execv('${SET_UID}', ['su', '--no-such-option'])
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
open('${folder.file('waiting')}', 'w').close()
time.sleep(1000)`
  const [command = '', ...args] = [...ordinary, '/usr/bin/python3', '-c', script]
  const child = spawn(command, args, { detached: true, stdio: 'ignore' })
  try {
    await eventually(() => folder.names.includes('waiting'))
    const failure = await refuses(folder, child.pid ?? 0, { wrapper: ordinary })
    expect(failure).toMatchObject({ status: 3, code: 'THAW_NO_PTRACE' })
    expect(failure.message).toMatch(/its child \d+ \(su\) has ended/)
    expect(await thaw(['dump', String(child.pid), '--images', folder.file('images'), '--leave-running'])).toMatchObject({ status: 0 })
  } finally {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
})

test('a process that is traced already', async () => {
  using folder = new Folder()
  await using counter = await Counter.start(folder)
  native.seize(counter.pid)
  const failure = await refuses(folder, counter.pid)
  expect(failure).toMatchObject({ status: 3, code: 'THAW_TRACED' })
  expect(failure.message).toContain(`pid ${process.pid} traces it`)
  await counter.expectToGoOn()
})

describe.skipIf(ordinary.length === 0)('for an ordinary user, a unix socket with a relative name', () => {
  const options = { wrapper: ordinary }

  test('whose process has gone elsewhere', async () => {
    using folder = new Folder()
    await using counter = await Counter.start(folder, tool('relative-socket'), { wrapper: ordinary, args: ['/'] })
    const failure = await refuses(folder, counter.pid, options)
    expect(failure).toMatchObject({ status: 3, code: 'THAW_UNIX_FILE' })
    expect(failure.message).toMatch(/the name app\.sock, .* Bind it by an absolute path/)
    await counter.expectToGoOn()
  })

  test('whose process is where it was', async () => {
    using folder = new Folder()
    await using counter = await Counter.start(folder, tool('relative-socket'), { wrapper: ordinary })
    expect(await thaw(['dump', String(counter.pid), '--images', folder.file('images'), '--leave-running'], options)).toMatchObject({
      status: 0,
    })
    await counter.expectToGoOn()
  })
})

test('a process whose session is led from outside, unless asked for', async () => {
  using folder = new Folder()
  await using counter = await Counter.start(folder, undefined, { leads: false })
  const failure = await refuses(folder, counter.pid)
  expect(failure).toMatchObject({ status: 3, code: 'THAW_SHELL_JOB' })
  expect(failure.message).toMatch(/setsid, or pass --shell-job/)
  await counter.expectToGoOn()
  expect((await thaw(['dump', String(counter.pid), '--images', folder.file('images'), '--shell-job'])).status).toBe(0)
  await counter.ended
  const { stdout } = await thaw(['restore', '--images', folder.file('images'), '--detach', '--json'])
  const { pid } = JSON.parse(stdout) as { pid: number }
  await counter.expectToGoOn()
  process.kill(pid, 'SIGKILL')
  await eventually(() => !isAlive(pid))
})

/** A 32-bit program of nine bytes that waits for ever: mov $29 (pause), %eax; int $0x80; jmp back. */
function program32(): Uint8Array {
  const code = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7]
  const [base, headerBytes] = [0x0804_8000, 84]
  const view = new DataView(new ArrayBuffer(headerBytes + code.length))
  const bytes = new Uint8Array(view.buffer)
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]) // ELFCLASS32, little-endian
  const halves = [2, 3] // ET_EXEC, EM_386
  const words = [1, base + headerBytes, 52, 0, 0] // version, entry, program headers at 52, no sections
  const sizes = [52, 32, 1, 0, 0, 0]
  halves.forEach((value, i) => view.setUint16(16 + i * 2, value, true))
  words.forEach((value, i) => view.setUint32(20 + i * 4, value, true))
  sizes.forEach((value, i) => view.setUint16(40 + i * 2, value, true))
  const load = [1, 0, base, base, bytes.length, bytes.length, 5, 0x1000]
  load.forEach((value, i) => view.setUint32(52 + i * 4, value, true))
  bytes.set(code, headerBytes)
  return bytes
}

test('a 32-bit process', async (context) => {
  using folder = new Folder()
  writeFileSync(folder.file('program'), program32())
  chmodSync(folder.file('program'), 0o755)
  let started: { pid: number; pidfd: number }
  try {
    started = native.spawnProcess(folder.file('program'), [], [])
  } catch {
    return context.skip('this kernel runs no 32-bit programs (CONFIG_IA32_EMULATION)')
  }
  try {
    expect(await refuses(folder, started.pid)).toMatchObject({ status: 3, code: 'THAW_32_BIT' })
    expect(fieldsOf(started.pid)[0]).toBe('S')
  } finally {
    native.kill(started.pid, 9)
    native.poll(started.pidfd, 1, -1)
    native.reap(started.pid)
    closeSync(started.pidfd)
  }
})

describe('the dumper has no hold on what holds it', () => {
  test('its ancestors', async () => {
    using folder = new Folder()
    const failure = await refuses(folder, process.pid)
    expect(failure).toMatchObject({ status: 3, code: 'THAW_ANCESTOR' })
    expect(failure.message).toMatch(/ancestor of the dumper/)
  })

  test('itself', async () => {
    using folder = new Folder()
    const wrapper = ['sh', '-c', 'exec "$0" "$1" dump $$ --images "$2" --json']
    const { status, stdout } = await thaw([folder.file('images')], { wrapper })
    expect(status).toBe(3)
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'THAW_ANCESTOR', message: expect.stringContaining('that is the dumper itself') },
    })
    expect(folder.names).toEqual([])
  })
})
