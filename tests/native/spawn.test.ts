import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { native, type WaitStatus } from '../../dist/native/index.js'
import { openDescriptors, refusal } from './harness.ts'

const POLLIN = 1

let before: string[]
let nothing: number
beforeEach(() => {
  before = openDescriptors()
  nothing = openSync('/dev/null', 'r+')
})
afterEach(() => {
  closeSync(nothing)
  expect(openDescriptors()).toEqual(before)
})

function readAll(fd: number): string {
  const chunks: Uint8Array[] = []
  for (;;) {
    const chunk = native.read(fd, 65536)
    if (chunk === null || chunk.length === 0) return Buffer.concat(chunks).toString()
    chunks.push(chunk)
  }
}

/** Runs to its end and returns what it wrote to descriptor 1. */
function run(file: string, args: readonly string[]): { output: string; status: WaitStatus | null } {
  const [reader, writer] = native.pipe(0)
  const { pid, pidfd } = native.spawnProcess(file, args, [nothing, writer, 2])
  closeSync(writer)
  const output = readAll(reader)
  closeSync(reader)
  native.poll(pidfd, POLLIN, -1)
  closeSync(pidfd)
  return { output, status: native.reap(pid) }
}

test('arguments, environment and exit status', () => {
  process.env['THAW_TEST'] = 'carried'
  expect(run('/bin/sh', ['-c', 'echo "$1 $THAW_TEST"; exit 3', 'sh', 'a b'])).toEqual({
    output: 'a b carried\n',
    status: { kind: 'exited', code: 3 },
  })
  delete process.env['THAW_TEST']
})

test('only the given descriptors are there', () => {
  const { output } = run('/bin/ls', ['/proc/self/fd'])
  expect(output).toBe('0\n1\n2\n3\n') // the last is the folder that ls reads
})

test('descriptors may change places', () => {
  const [first, firstWriter] = native.pipe(0)
  const [second, secondWriter] = native.pipe(0)
  const wanted = [2, nothing, secondWriter, firstWriter, firstWriter]
  const { pid, pidfd } = native.spawnProcess('/bin/sh', ['-c', 'echo two >&2; echo three >&3; echo four >&4'], wanted)
  closeSync(firstWriter)
  closeSync(secondWriter)
  expect(readAll(first)).toBe('three\nfour\n')
  expect(readAll(second)).toBe('two\n')
  native.poll(pidfd, POLLIN, -1)
  expect(native.reap(pid)).toEqual({ kind: 'exited', code: 0 })
  for (const fd of [first, second, pidfd]) closeSync(fd)
})

test('signals are unblocked and have their default actions', () => {
  const { output } = run('/bin/cat', ['/proc/self/status'])
  for (const name of ['SigBlk', 'SigIgn', 'SigCgt']) expect(output).toMatch(new RegExp(`^${name}:\\s+0{16}$`, 'm'))
})

test('reap says nothing while it lives and how it was killed', () => {
  const { pid, pidfd } = native.spawnProcess('/bin/sleep', ['100'], [nothing, 1, 2])
  expect(native.reap(pid)).toBeNull()
  // Empty until the new program is mapped, which is a moment after its descriptors are right.
  let command = ''
  while (command === '') command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  expect(command).toBe('/bin/sleep\x00100\x00')
  native.pidfdSendSignal(pidfd, 9)
  native.poll(pidfd, POLLIN, -1)
  expect(native.reap(pid)).toEqual({ kind: 'killed', signal: 9 })
  expect(refusal(() => native.reap(pid))).toMatchObject({ code: 'ECHILD', syscall: 'waitpid', pid })
  closeSync(pidfd)
})

test("Node's own child processes are not disturbed", async () => {
  const { execFile } = await import('node:child_process')
  const { promisify } = await import('node:util')
  const own = promisify(execFile)('/bin/sh', ['-c', 'sleep 0.1; echo own'])
  const { pid, pidfd } = native.spawnProcess('/bin/true', [], [nothing, 1, 2])
  native.poll(pidfd, POLLIN, -1)
  expect((await own).stdout).toBe('own\n')
  expect(native.reap(pid)).toEqual({ kind: 'exited', code: 0 })
  closeSync(pidfd)
})

test('a program that cannot be started leaves nothing', () => {
  expect(refusal(() => native.spawnProcess('/none', [], [nothing]))).toMatchObject({
    message: "execve '/none': ENOENT, No such file or directory",
    code: 'ENOENT',
    syscall: 'execve',
    path: '/none',
  })
  expect(refusal(() => native.spawnProcess('/etc/passwd', [], [nothing]))).toMatchObject({ code: 'EACCES', syscall: 'execve' })
  expect(refusal(() => native.spawnProcess('/bin/true', [], [nothing, 0x7fff]))).toMatchObject({ code: 'EBADF', syscall: 'fcntl' })
  expect(existsSync(`/proc/${process.pid}/task/${process.pid}/children`)).toBe(true)
  expect(readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')).toBe('')
})
