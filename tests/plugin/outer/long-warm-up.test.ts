import { test } from 'vitest-thaw'
import { long } from './long-fixture.ts'

test.withSnapshot(long)('long', () => {})
