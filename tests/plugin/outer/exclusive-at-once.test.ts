import type { ExpectStatic, RunnerTestCase } from 'vitest'
import { test } from 'vitest-thaw'
import { increment, locking, one } from './exclusive.ts'

/** Until then this copy is there: the other test cannot have one. */
const untilFailed = ({ file }: RunnerTestCase, name: string, expect: ExpectStatic): Promise<void> =>
  expect.poll(() => file.tasks.find((task) => task.name === name)?.result?.state, { interval: 10, timeout: 15_000 }).toBe('fail')

for (const i of [1, 2]) {
  test.withSnapshot(locking).concurrent(`locks ${i}`, async ({ locking, task, expect }) => {
    expect(await increment(locking)).toBe('1 flock posix')
    await untilFailed(task, `locks ${3 - i}`, expect)
    expect(await increment(locking)).toBe('2 flock posix')
  })
  test.withSnapshot(one).concurrent(`listens ${i}`, async ({ one, task, expect }) => {
    expect(await increment(one)).toBe('one 1')
    await untilFailed(task, `listens ${3 - i}`, expect)
    expect(await increment(one)).toBe('one 2')
  })
}
