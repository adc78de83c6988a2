/** Images that cannot be brought back here: all or nothing, and always said why. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { afterEach, describe, expect, test } from 'vitest'
import { Counter, expectNothingLeft, failing, Folder, ordinary, thaw, tool } from './harness.ts'

afterEach(expectNothingLeft)

/** A program with a copy of its own of a library, dumped and ended. */
async function dumped(folder: Folder, program: string, options: { wrapper?: readonly string[] } = {}): Promise<Counter> {
  const counter = await Counter.start(folder, program, options)
  const { status, stderr } = await thaw(['dump', String(counter.pid), '--images', folder.file('images')])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  await counter.ended
  return counter
}

const restoring = (folder: Folder, ...more: string[]): string[] => [
  'restore',
  '--detach',
  '--images',
  folder.file('images'),
  '--pid-file',
  folder.file('pid'),
  ...more,
]

async function refuses(
  folder: Folder,
  counter: Counter,
  expected: Record<string, unknown>,
  options: { wrapper?: readonly string[]; more?: string[] } = {},
): ReturnType<typeof failing> {
  const failure = await failing(restoring(folder, ...(options.more ?? [])), options)
  expect(failure).toMatchObject(expected)
  expect(existsSync(folder.file('pid'))).toBe(false)
  await counter.expectToStandStill()
  return failure
}

function replace(path: string): void {
  copyFileSync(path, `${path}.new`)
  renameSync(`${path}.new`, path)
}

describe('a file that the process had mapped', () => {
  const changes: [string, (path: string) => void][] = [
    ['was written to', (path) => writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from('x')]))],
    ['was touched', (path) => utimesSync(path, 1, 1)],
    ['was replaced by another', replace],
  ]

  test.each(changes)('its program %s', async (_, change) => {
    using folder = new Folder()
    copyFileSync(tool('counter'), folder.file('program'))
    await using counter = await dumped(folder, folder.file('program'))
    change(folder.file('program'))
    const failure = await refuses(folder, counter, { status: 1, name: 'ImageError', code: 'THAW_FILE_CHANGED' })
    expect(failure.message).toContain(`${folder.file('program')} was changed since the checkpoint`)
  })

  test('its program is gone', async () => {
    using folder = new Folder()
    copyFileSync(tool('counter'), folder.file('program'))
    await using counter = await dumped(folder, folder.file('program'))
    rmSync(folder.file('program'))
    expect((await refuses(folder, counter, { status: 1, code: 'THAW_FILE_CHANGED' })).message).toContain('is gone')
  })

  test('a library of it was touched', async () => {
    using folder = new Folder()
    const libc = /\/\S*\/libc\.so\.6/.exec(readFileSync('/proc/self/maps', 'utf8'))?.[0] ?? ''
    copyFileSync(libc, folder.file('libc.so.6'))
    await using counter = await dumped(folder, tool('counter'), { wrapper: ['env', `LD_LIBRARY_PATH=${folder.path}`] })
    utimesSync(folder.file('libc.so.6'), 1, 1)
    const failure = await refuses(folder, counter, { status: 1, code: 'THAW_FILE_CHANGED' })
    expect(failure.message).toContain(folder.file('libc.so.6'))
  })

  test('a file that it had open is gone', async () => {
    using folder = new Folder()
    await using counter = await dumped(folder, tool('counter'))
    rmSync(folder.file('output'))
    const failure = await refuses(folder, counter, { status: 1, code: 'THAW_FILE_CHANGED' })
    expect(failure.message).toMatch(
      new RegExp(
        `^Cannot restore descriptor 1 of pid ${counter.pid} \\(regular file\\): ${folder.file('output')} is gone since .* Put the same`,
      ),
    )
  })

  test('a file that it had mapped shared is gone', async () => {
    using folder = new Folder()
    await using counter = await dumped(folder, tool('mapped-counter'))
    rmSync(counter.file)
    const failure = await refuses(folder, counter, { status: 1, code: 'THAW_FILE_CHANGED' })
    expect(failure.message).toMatch(
      new RegExp(
        `^Cannot restore shared memory: 0x[0-9a-f]+-0x[0-9a-f]+ of pid ${counter.pid}: ${counter.file} is gone since .* Put the same`,
      ),
    )
  })

  test('its working directory is gone', async () => {
    using folder = new Folder()
    mkdirSync(folder.file('gone'))
    await using counter = await dumped(folder, tool('counter'), { wrapper: ['env', '-C', folder.file('gone')] })
    rmSync(folder.file('gone'), { recursive: true })
    const failure = await refuses(folder, counter, { status: 1, code: 'THAW_FILE_CHANGED' })
    expect(failure.message).toMatch(/^Cannot restore working directory: /)
  })

  test.skipIf(ordinary.length === 0)('a file that it had open is not open to who restores it', async () => {
    using folder = new Folder()
    await using counter = await dumped(folder, tool('counter'))
    chmodSync(folder.file('output'), 0o600)
    const [images, all] = [folder.file('images'), { recursive: true } as const]
    for (const name of readdirSync(images, all)) chmodSync(`${images}/${String(name)}`, 0o644)
    chmodSync(images, 0o755)
    const failure = await refuses(folder, counter, { status: 1, code: 'THAW_FILE_REFUSED' }, { wrapper: ordinary })
    expect(failure.message).toMatch(/this user may not open \S+ as it was open \(EACCES\)\. Restore as a user who may/)
  })
})

test('a port that is taken, with the network of the host', async () => {
  using folder = new Folder()
  await using counter = await dumped(folder, tool('listener'))
  const port = Number(counter.count)
  const server = createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  const failure = await refuses(
    folder,
    counter,
    { status: 1, name: 'RestoreError', code: 'THAW_PORT_TAKEN', syscall: 'bind' },
    { more: ['--network', 'host'] },
  )
  expect(failure.message).toContain(String(port))
  // In a network of its own it is free.
  const { status, stdout } = await thaw(restoring(folder, '--network', 'new', '--json'))
  expect(status).toBe(0)
  process.kill((JSON.parse(stdout) as { pid: number }).pid, 'SIGKILL')
  server.close()
})

describe('where namespaces cannot be made', () => {
  const inUserNamespace = [
    'unshare',
    '--user',
    '--map-root-user',
    'sh',
    '-c',
    'echo 0 > /proc/sys/user/max_pid_namespaces && exec "$@"',
    'sh',
  ]
  const withoutUserNamespaces = [
    'unshare',
    '--user',
    '--map-root-user',
    'sh',
    '-c',
    'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all "$@"',
    'sh',
  ]

  test('no pid namespace', async () => {
    using folder = new Folder()
    await using counter = await dumped(folder, tool('counter'))
    const failure = await refuses(
      folder,
      counter,
      { status: 3, code: 'THAW_NO_NAMESPACES', syscall: 'clone3' },
      { wrapper: inUserNamespace },
    )
    expect(failure.message).toMatch(/max_pid_namespaces/)
  })

  test('no user namespace for an ordinary user', async () => {
    using folder = new Folder()
    await using counter = await dumped(folder, tool('counter'))
    const failure = await refuses(
      folder,
      counter,
      { status: 3, name: 'UnsupportedError', code: 'THAW_NO_NAMESPACES' },
      { wrapper: withoutUserNamespaces },
    )
    expect(failure.message).toMatch(/max_user_namespaces/)
  })
})

/** A counter with a high number, and a file without a name that is open twice. */
const withHighNumbers = ['bash', '-c', 'ulimit -n 1000; exec 900<>gone 901</proc/self/fd/900; rm gone; exec "$@"', 'bash']
const limited = (files: number): string[] => ['prlimit', `--nofile=${files}:${files}`]

test('a limit on open files that the numbers of the tree do not fit below: said before anything is made, at the checkpoint too', async () => {
  using folder = new Folder()
  const counter = await Counter.start(folder, undefined, { wrapper: withHighNumbers })
  await using _ = counter
  const images = folder.file('images')
  const dump = await failing(['dump', String(counter.pid), '--images', images], { wrapper: limited(905) })
  expect(dump).toMatchObject({ status: 3, name: 'UnsupportedError', code: 'THAW_OPEN_FILES', pid: counter.pid })
  expect(dump.message).toMatch(/pid \d+ \(counter\): it has descriptor 901, .* a hard limit on open files of \d+, which is 905/)
  await counter.expectToGoOn()
  expect((await thaw(['dump', String(counter.pid), '--images', images])).status).toBe(0)
  await counter.ended
  const failure = await refuses(folder, counter, { status: 1, name: 'RestoreError', code: 'THAW_OPEN_FILES' }, { wrapper: limited(905) })
  expect(failure.message).toContain('a hard limit on open files of')
  const { stdout, stderr } = await thaw(restoring(folder, '--json'), { wrapper: limited(1000) })
  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toMatchObject({ pid: expect.any(Number) })
  const { pid } = JSON.parse(stdout) as { pid: number }
  await counter.expectToGoOn()
  process.kill(pid, 'SIGKILL')
})

test('numbers from the top of the limit of the process itself: a higher limit of ours would be of no use, a lower one of its is', async () => {
  using folder = new Folder()
  const fromTheTop = ['bash', '-c', 'ulimit -n 905; exec 900</dev/null 904</dev/null; exec "$@"', 'bash']
  await using counter = await Counter.start(folder, undefined, { wrapper: fromTheTop })
  const images = folder.file('images')
  const dump = await failing(['dump', String(counter.pid), '--images', images], { wrapper: limited(905) })
  expect(dump).toMatchObject({ status: 3, name: 'UnsupportedError', code: 'THAW_OPEN_FILES', pid: counter.pid })
  expect(dump.message).toMatch(/it has descriptor 904, .* start it with a lower one \(prlimit --nofile=8\d\d\)\.$/)
  await counter.expectToGoOn()
  expect((await thaw(['dump', String(counter.pid), '--images', images])).status).toBe(0)
  await counter.ended
  const failure = await refuses(folder, counter, { status: 1, name: 'RestoreError', code: 'THAW_OPEN_FILES' }, { wrapper: limited(905) })
  expect(failure.message).toMatch(/the tree has descriptor 904, .* \(prlimit --nofile=8\d\d\)\.$/)
})
