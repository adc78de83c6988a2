/** The copy of an ordinary user's process lives in a user namespace: from where it can be dumped again, a refusal says. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Counter, eventually, expectNothingLeft, failing, Folder, isAlive, ordinary, thaw } from './harness.ts'

describe.skipIf(ordinary.length === 0)('dump of it', () => {
  let folder: Folder
  let pid: number

  beforeEach(async () => {
    folder = new Folder()
    await using counter = await Counter.start(folder, undefined, { wrapper: ordinary })
    const images = folder.file('images')
    expect((await thaw(['dump', String(counter.pid), '--images', images], { wrapper: ordinary })).status).toBe(0)
    const { stdout } = await thaw(['restore', '--images', images, '--detach', '--json'], { wrapper: ordinary })
    pid = (JSON.parse(stdout) as { pid: number }).pid
  })

  afterEach(async () => {
    process.kill(pid, 'SIGKILL')
    await eventually(() => !isAlive(pid))
    folder[Symbol.dispose]()
    await expectNothingLeft()
  })

  const dumping = (): string[] => ['dump', String(pid), '--images', folder.file('again'), '--leave-running']
  const entering = (...namespaces: string[]): readonly string[] => [
    ...ordinary,
    'nsenter',
    '--preserve-credentials',
    '--target',
    String(pid),
    ...namespaces.map((name) => `--${name}`),
  ]
  const command = (): string => `nsenter --preserve-credentials --target ${pid} --user --uts --ipc thaw`

  test('the command that the refusal names dumps it', async () => {
    const failure = await failing(dumping(), { wrapper: ordinary })
    expect(failure).toMatchObject({ status: 3, code: 'THAW_USER_NAMESPACE', pid, message: expect.stringContaining(command()) })
    expect(await thaw(dumping(), { wrapper: entering('user', 'uts', 'ipc') })).toMatchObject({ status: 0, stderr: '' })
  })

  test.each([
    [['user'], 'THAW_UTS_NAMESPACE'],
    [['user', 'uts'], 'THAW_IPC_NAMESPACE'],
    [['user', 'ipc'], 'THAW_UTS_NAMESPACE'],
  ])('from some of its namespaces (%s), the refusal names all', async (some, code) => {
    const failure = await failing(dumping(), { wrapper: entering(...some) })
    expect(failure).toMatchObject({ status: 3, code, pid, message: expect.stringContaining(command()) })
  })

  test('from its mount namespace, whose /proc is that of other pids', async () => {
    const failure = await failing(dumping(), { wrapper: entering('user', 'uts', 'ipc', 'mount') })
    expect(failure).toMatchObject({ status: 3, code: 'THAW_PROC', message: expect.stringContaining('nsenter without --mount') })
  })
})
