import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { readMappings } from '../../dist/core/proc/maps.js'
import { Target } from '../native/harness.ts'

test('the mappings of a program are those of /proc/PID/maps, field by field', () => {
  using target = new Target()
  const text = readFileSync(`/proc/${target.pid}/maps`, 'utf8')
  const hex = (value: bigint, digits: number): string => value.toString(16).padStart(digits, '0')
  const lines = readMappings(target.pid).map(({ start, end, permissions, offset, device, inode, path }) =>
    `${hex(start, 8)}-${hex(end, 8)} ${permissions} ${hex(offset, 8)} ${device} ${inode} ${path}`.trimEnd(),
  )
  expect(lines).toEqual(
    text
      .trimEnd()
      .split('\n')
      .map((line) => line.trimEnd().replace(/^((?:\S+ ){4}\S+) +/, '$1 ')),
  )
})

test('flags tell what permissions do not', () => {
  using target = new Target()
  const lines = readMappings(target.pid)
  const flagsOf = (path: string): ReadonlySet<string> | undefined => lines.find((line) => line.path === path)?.flags
  expect([...flagsOf('[stack]')!]).toEqual(expect.arrayContaining(['rd', 'wr', 'gd']))
  expect(flagsOf('[heap]')!.has('gd')).toBe(false)
  expect([...flagsOf('[vvar]')!]).toEqual(expect.arrayContaining(['rd', 'io', 'dd']))
  for (const { flags, permissions } of lines)
    expect([flags.has('rd'), flags.has('wr')]).toEqual([permissions[0] === 'r', permissions[1] === 'w'])
})

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'thaw-maps-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

test.each([
  ['with spaces and brackets', 'a  [b] (deleted) '],
  ['of two lines', 'first\nsecond'],
  ['that looks like a field', 'VmFlags: rd wr'],
  ['with a carriage return', 'one\rtwo'],
  ['beyond ASCII', 'é\u2028☃'],
])('the path of a file %s', (_, name) => {
  const path = join(folder, name)
  writeFileSync(path, Buffer.alloc(8192))
  const file = openSync(path, 'r')
  const start = native.syscall('mmap', [0, 4096, 1, 2, file, 4096])
  closeSync(file)
  try {
    const seen = readMappings(process.pid).find((line) => line.start === start)
    const { inode } = native.statPath(path)
    expect(seen).toMatchObject({ path, inode, permissions: 'r--p', offset: 4096n, end: start + 4096n })
    expect(seen?.flags.has('rd')).toBe(true)
    rmSync(path)
    expect(readMappings(process.pid).find((line) => line.start === start)?.path).toBe(`${path} (deleted)`)
  } finally {
    native.syscall('munmap', [start, 4096])
  }
})

test('a process that is gone', () => {
  expect(() => readMappings(2 ** 22 + 1)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
})
