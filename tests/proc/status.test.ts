import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { field, innermost, readStat, readStatus } from '../../dist/core/proc/status.js'
import { Target } from '../native/harness.ts'

const OWN_COMMAND = '/proc/self/comm'

test('fields of a real process', () => {
  using target = new Target()
  const status = readStatus(target.pid)
  expect(field(status, 'Name')).toBe('cat')
  expect(field(status, 'PPid')).toBe(String(process.pid))
  expect(field(status, 'SigIgn')).toMatch(/^[0-9a-f]{16}$/)
  expect(innermost(status, 'NSpid')).toBe(target.pid)
  expect(() => field(status, 'Nonsense')).toThrow('/proc/PID/status has no field Nonsense')
})

test('ids are those of the innermost namespace', () => {
  const status = new Map([
    ['NSpid', '4711\t12\t1'],
    ['NSsid', '0'],
  ])
  expect([innermost(status, 'NSpid'), innermost(status, 'NSsid')]).toEqual([1, 0])
})

test('words of stat are told from the command, whatever it is named', () => {
  const word = (n: number): string | undefined => readStat(process.pid)[n - 3]
  const own = readFileSync(OWN_COMMAND)
  try {
    for (const name of ['a) Z 1 (b)', ') T 1', 'new\nline']) {
      writeFileSync(OWN_COMMAND, name)
      expect([word(3), word(4)]).toEqual(['R', String(process.ppid)])
      expect(readStat(process.pid)).toHaveLength(50)
      expect(readStat(process.pid).at(-1)).toMatch(/^\d+$/)
      expect(field(readStatus(process.pid), 'PPid')).toBe(String(process.ppid))
    }
  } finally {
    writeFileSync(OWN_COMMAND, own)
  }
})
test('one thread of several', () => {
  const tids = readFileSync('/proc/self/status', 'utf8').match(/^Threads:\s+(\d+)/m)?.[1]
  expect(Number(tids)).toBeGreaterThan(1)
  const status = readStatus(process.pid, process.pid)
  expect([field(status, 'Pid'), field(status, 'Tgid')]).toEqual([String(process.pid), String(process.pid)])
  expect(() => readStatus(process.pid, process.ppid)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
})
