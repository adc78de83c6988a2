/** What README says is carried and refused, and what the code says. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { supports } from '../../dist/core/supports.js'
import { README, withTable } from '../../.ci/table.ts'

const CORE = fileURLToPath(new URL('../../core', import.meta.url))
const refusal = /\b(?:UnsupportedError|refusal|refuse)\(\s*(?:[\w.]+,\s*)?'(THAW_\w+)'/g

test('README is up to date (npm run table)', () => {
  const readme = readFileSync(README, 'utf8')
  expect(withTable(readme)).toBe(readme)
})

test('what a checkpoint refuses is in the list of what is refused', () => {
  const listed = supports.flatMap(({ refused = {} }) => Object.keys(refused))
  const files = ['checkpoint', 'resources'].flatMap((folder) =>
    readdirSync(join(CORE, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(CORE, folder, file)),
  )
  const codes = files
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => [...readFileSync(file, 'utf8').matchAll(refusal)].map(([, code]) => code))
  expect(codes).toContain('THAW_PTY_HALF')
  expect(codes.filter((code) => code !== undefined && !listed.includes(code))).toEqual([])
})

test('one code stands for one thing', () => {
  const listed = supports.flatMap(({ refused = {} }) => Object.keys(refused))
  expect(listed.filter((code, at) => listed.indexOf(code) !== at)).toEqual([])
})
