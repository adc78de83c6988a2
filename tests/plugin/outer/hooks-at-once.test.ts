import { beforeEach, describe, expect } from 'vitest'
import { test } from 'vitest-thaw'
import { counter, increment } from './counter.ts'

const counts: number[] = []
beforeEach<{ counter: Parameters<typeof increment>[0] }>(async ({ counter }) => {
  counts.push(await increment(counter))
})

test.withSnapshot(counter)('a hook of the file', async ({ counter }) => {
  expect(await increment(counter)).toBe(3)
})

describe('in a block', () => {
  beforeEach<{ counter: Parameters<typeof increment>[0] }>(async ({ counter }) => {
    counts.push(await increment(counter))
  })
  test.withSnapshot(counter)('each attempt', { retry: 2 }, async ({ counter, task }) => {
    expect(await increment(counter)).toBe(4)
    expect(task.result?.retryCount).toBe(2)
  })
})

test.withSnapshot(counter)('has a copy of its own', () => {
  expect(counts).toEqual([2, 2, 3, 2, 3, 2, 3, 2])
})
