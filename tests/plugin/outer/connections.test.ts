import { describe, expect } from 'vitest'
import { test } from 'vitest-thaw'
import { counter } from './counter.ts'

test.withSnapshot(counter)('of one copy', async ({ counter }) => {
  const responses = await Promise.all(Array.from({ length: 600 }, (_, i) => counter.fetch(`:3000/${i}`)))
  expect(responses.map(({ status }) => status)).toEqual(Array(600).fill(200))
})

describe.concurrent('of several copies', () => {
  test.withSnapshot(counter).for([1, 2])('%s', async (_, { counter, expect }) => {
    const responses = await Promise.all(Array.from({ length: 300 }, (_, i) => counter.fetch(`:3000/${i}`)))
    expect(responses.map(({ status }) => status)).toEqual(Array(300).fill(200))
  })
})
