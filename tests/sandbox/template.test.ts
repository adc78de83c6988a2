import { closeSync, readFileSync, writeSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { initProgramPath, native, restorerBlobPath } from '../../dist/native/index.js'
import { Bundle } from '../../dist/core/program/bundle.js'

const BASE = 0x2000_0000_0000n
const PAGE = 4096
const [SOCK_SEQPACKET, POLLIN] = [5, 1]

let control: readonly [number, number]
let file: number
beforeEach(() => {
  control = native.socketpair(1, SOCK_SEQPACKET, 0)
  file = native.memfdCreate('thaw-template', 1)
})
afterEach(() => {
  for (const fd of [...control, file]) closeSync(fd)
})

const pages = (bytes: Uint8Array): Uint8Array => Buffer.concat([bytes, new Uint8Array(-bytes.length & (PAGE - 1))])

/** Runs `thaw-init template` to its end and returns the first message it sent. */
function run(args: readonly string[]): Uint8Array {
  const { pid, pidfd } = native.spawnProcess(initProgramPath(), ['template', ...args], [2, 2, 2, control[1], file])
  const message = native.receiveMessage(control[0], 4096, 0)!
  native.poll(pidfd, POLLIN, 1000)
  native.reap(pid)
  closeSync(pidfd)
  return message.bytes
}

const failure = (bytes: Uint8Array): { step: number; errno: number } => {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return { step: view.getInt32(0, true), errno: view.getInt32(4, true) }
}

test('runs a bundle where it was compiled for, and tells it where the vDSO is', () => {
  const code = pages(readFileSync(restorerBlobPath()))
  const bundle = new Bundle(BASE + BigInt(code.length))
  const vdso = bundle.allocate(8)
  const stackTop = bundle.allocate(8)
  const stack = bundle.stack()
  const main = bundle.program('main')
  main.store(stackTop, stack, 8)
  main.call('write', [3, vdso, 8])
  main.call('rt_sigprocmask', [0, 0, stackTop, 8])
  main.call('write', [3, stackTop, 8])
  main.call('exit_group', [0])
  const encoded = Buffer.from(bundle.encode())
  encoded.writeBigUInt64LE(stack, 88)
  writeSync(file, Buffer.concat([code, encoded]))

  const message = run([BASE.toString(16), String(code.length + encoded.length), String(code.length)])
  const address = Buffer.from(message).readBigUInt64LE()
  expect(address % BigInt(PAGE)).toBe(0n)
  expect(address).toBeGreaterThan(0x7000_0000_0000n)
  const mask = native.receiveMessage(control[0], 8, 0)!
  // All but KILL and STOP.
  expect(Buffer.from(mask.bytes).readBigUInt64LE()).toBe(0xffff_ffff_fffb_feffn)
})

test('an address that is taken: by thaw-init itself', () => {
  writeSync(file, new Uint8Array(2 * PAGE))
  expect(failure(run(['0x100000000000', '8192', '4096']))).toEqual({ step: 2, errno: 17 })
})

test('an address that is none', () => {
  writeSync(file, new Uint8Array(2 * PAGE))
  expect(failure(run(['0xffffffffffff0000', '8192', '4096']))).toEqual({ step: 2, errno: 12 })
})

test('arguments that make no sense', () => {
  for (const args of [
    ['x', '8192', '4096'],
    ['1000', '', '4096'],
    ['1000', '4096', '4096'],
    ['1000', '8192'],
  ]) {
    expect(failure(run(args))).toEqual({ step: 1, errno: 22 })
  }
})
