import { expect } from 'vitest'
import { test } from 'vitest-thaw'
import { pair } from './pair.ts'

interface State {
  lines: number
  connections: number
  pid: number
  child: number
  front: number
  echo: string
}

let first: State | undefined

test.withSnapshot(pair).for([1, 2, 3, 4])('copy %d begins where the warm-up ended', async (_, { pair }) => {
  const response = await pair.fetch(':3000/increment')
  const state = (await response.json()) as State
  // The readiness probe was the first connection, the front server's is the second.
  expect(state).toMatchObject({ lines: 3, connections: 2, echo: '/increment' })
  first ??= state
  expect(state).toEqual(first)
})
