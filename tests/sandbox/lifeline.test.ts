import { once } from 'node:events'
import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { isAlive, startEngine, withinASecond } from './harness.ts'

test('kill -9 of the engine takes the sandbox, its commands and the host along', async () => {
  const { child, engine, host, init, command } = await startEngine('stay')
  for (const pid of [host, init, command]) expect(isAlive(pid)).toBe(true)
  native.kill(engine, 9)
  await once(child, 'exit')
  await withinASecond(() => [host, init, command].every((pid) => !isAlive(pid)))
})

test('a detached sandbox outlives the engine and holds none of its streams; it ends with its command', async () => {
  const { child, engine, host, init, command } = await startEngine('detach')
  await once(child, 'close')
  await withinASecond(() => !isAlive(host))
  expect(isAlive(engine)).toBe(false)
  for (const pid of [init, command]) expect(isAlive(pid)).toBe(true)
  native.kill(command, 15)
  await withinASecond(() => !isAlive(init))
})
