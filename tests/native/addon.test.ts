import { Worker } from 'node:worker_threads'
import { constants } from 'node:os'
import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { refusal } from './harness.ts'

test('exports the program format', () => {
  expect(native.format['VERSION']).toBeGreaterThanOrEqual(1)
  expect(native.format['NO_CELL']).toBe(0xffffffff)
  expect(native.format['SIZEOF_OP']).toBeGreaterThan(0)
})

test('knows system calls, also those newer than the headers of the build', () => {
  expect(native.syscalls).toMatchObject({ read: 0, openat: 257, clone3: 435, mseal: 462 })
})

test('knows the names of errno values as Node does', () => {
  for (const [name, value] of Object.entries(constants.errno)) {
    if (name === 'EWOULDBLOCK' || name === 'ENOTSUP') continue // second names of EAGAIN and EOPNOTSUPP
    expect(native.errnoNames[value]).toBe(name)
  }
  expect(native.errnoNames[516]).toBe('ERESTART_RESTARTBLOCK')
})

test('loads in many workers at once', async () => {
  const url = new URL('../../dist/native/index.js', import.meta.url).href
  const source = `import(${JSON.stringify(url)}).then(({ native }) => require('node:worker_threads').parentPort.postMessage(native.clockGettime(1)))`
  const times = await Promise.all(
    Array.from(
      { length: 8 },
      () =>
        new Promise((resolve, reject) => {
          const worker = new Worker(source, { eval: true })
          worker.once('message', resolve)
          worker.once('error', reject)
        }),
    ),
  )
  for (const time of times) expect(time).toBeTypeOf('bigint')
})

test('coerces no argument', () => {
  const wrong: readonly (() => unknown)[] = [
    () => native.seize('1' as unknown as number),
    () => native.seize(0),
    () => native.kill(-1, 0),
    () => native.seize(1.5),
    () => native.readAt(0, 0 as unknown as bigint, 1),
    () => native.readAt(0, -1n, 1),
    () => native.readAt(0, 0n, -1),
    () => native.open('with\0null', 0),
    () => native.setRegisters(1, new BigUint64Array(26)),
    () => native.writeAt(0, 0n, [1] as unknown as Uint8Array),
    () => native.peekSignals(1, 'both' as 'thread'),
    () => native.sendMessage(0, new Uint8Array(), ['0'] as unknown as number[]),
  ]
  for (const call of wrong) expect(refusal(call)).toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' })
  expect(refusal(() => native.seize(0)).message).toBe('seize: argument 1 must be a process or thread id')
})
