import { expect } from 'vitest'
import { test } from 'vitest-thaw'
import { counter } from './counter.ts'

test.withSnapshot(counter)('fails and shows what its copy printed', async ({ counter }) => {
  await counter.fetch(':3000/complain')
  expect('this').toBe('that')
})
test.withSnapshot(counter)('a copy that ends takes nothing with it', async ({ counter }) => {
  await expect(counter.fetch(':3000/exit')).rejects.toThrow('fetch failed')
})
test.withSnapshot(counter)('the next one is there', async ({ counter }) => {
  expect((await counter.fetch(':3000/')).status).toBe(200)
})
