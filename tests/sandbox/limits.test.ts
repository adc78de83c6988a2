import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { initProgram, ordinary } from './harness.ts'

const script = fileURLToPath(new URL('limited-engine.ts', import.meta.url))

/** What an engine cannot make sandboxes for that runs under `wrapper`, a shell that was told to run "$@" after `prepare`. */
function refusal(wrapper: readonly string[], prepare: string): unknown {
  const [file = '', ...args] = [...wrapper, '/bin/sh', '-c', `${prepare}; exec "$@"`, 'sh', process.execPath, script]
  const { stdout, status } = spawnSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  expect(status).toBe(0)
  return JSON.parse(stdout)
}

const userNamespace = [...ordinary, initProgram, 'userns']
const noNamespaces = { name: 'SandboxError', code: 'THAW_NO_NAMESPACES' }

test('a user namespace is privilege enough', () => {
  expect(refusal(userNamespace, ':')).toEqual({})
})

test.skipIf(ordinary.length === 0)('no privilege', () => {
  expect(refusal(ordinary, ':')).toMatchObject({ ...noNamespaces, syscall: 'clone3', errno: 1 })
})

test('no more namespaces', () => {
  const seen = refusal([initProgram, 'userns'], 'echo 3 > /proc/sys/user/max_pid_namespaces')
  expect(seen).toMatchObject({ ...noNamespaces, syscall: 'clone3', errno: 28, message: expect.stringContaining('sysctl') })
})

test('no more descriptors', () => {
  expect(refusal(userNamespace, 'ulimit -n 40')).toMatchObject({
    ...noNamespaces,
    errno: 24,
    message: expect.stringContaining('ulimit -n'),
  })
})

test('a /proc with parts that are hidden', () => {
  const seen = refusal(
    [initProgram, 'userns', '/usr/bin/unshare', '--mount'],
    `mount -t tmpfs none /proc/sys/fs; exec ${initProgram} userns "$@"`,
  )
  expect(seen).toMatchObject({ ...noNamespaces, syscall: 'mount(/proc)', errno: 1, message: expect.stringContaining('systempaths') })
})
