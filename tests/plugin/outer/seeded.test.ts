import { expect } from 'vitest'
import { test } from 'vitest-thaw'
import { seeded } from './seeded.ts'

test.withSnapshot(seeded)('seeded', async ({ seeded }) => {
  expect((await seeded.fetch(':3000/')).status).toBe(200)
})
