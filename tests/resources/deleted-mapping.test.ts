import { closeSync, linkSync, mkdtempSync, openSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { identifyDeleted } from '../../dist/core/resources/deleted-mapping.js'
import type { MappingLine } from '../../dist/core/proc/maps.js'
import { native } from '../../dist/native/index.js'
import { OwnTree } from './own-tree.ts'

/** A deleted file that this process has open to read, and a mapping of it as an ordinary user sees it: map_files leads nowhere. */
function deletedFile(): { inode: bigint; line: MappingLine } {
  const path = `/dev/shm/thaw-deleted-mapping-${process.pid}`
  writeFileSync(path, 'content')
  const fd = openSync(path, 'r')
  unlinkSync(path)
  onTestFinished(() => closeSync(fd))
  const { device, inode } = native.statPath(`/proc/self/fd/${fd}`)
  // Of a few file systems only: small numbers.
  const printed = `${(device >> 8n).toString(16).padStart(2, '0')}:${(device & 0xffn).toString(16).padStart(2, '0')}`
  const place = { start: 0x1000n, end: 0x2000n, offset: 0n, device: printed, inode, path: `${path} (deleted)` }
  return { inode, line: { ...place, permissions: 'r--p', flags: new Set(), protectionKey: 0 } }
}

test('a descriptor leads to a deleted file that is mapped', () => {
  const { inode, line } = deletedFile()
  using own = new OwnTree()
  expect(identifyDeleted(own.process, own.tree, line, line.path)).toMatchObject({ inode, sizeBytes: 7n, deleted: true })
})

test('also where stat and maps tell its device differently', () => {
  const { inode, line } = deletedFile()
  using own = new OwnTree()
  expect(identifyDeleted(own.process, own.tree, { ...line, device: 'ff:ff' }, line.path)).toMatchObject({ inode, sizeBytes: 7n })
})

test('a file with the same inode number on another device is not taken for it', () => {
  const { line } = deletedFile()
  const elsewhere = { ...line, device: 'ff:ff', path: '/elsewhere (deleted)' }
  using own = new OwnTree()
  expect(() => identifyDeleted(own.process, own.tree, elsewhere, elsewhere.path)).toThrow(
    expect.objectContaining({ code: 'THAW_FILE_REPLACED', message: expect.stringContaining('nothing leads to it any more') }),
  )
})

/** A deleted file that a mapping of this process alone leads to, as it seems: nothing is there, so that map_files leads nowhere. */
function onlyMapped(keep: (path: string) => void): { inode: bigint; line: MappingLine } {
  const { inode, line } = deletedFile()
  const path = `/dev/shm/thaw-only-mapped-${process.pid}`
  writeFileSync(path, 'content')
  const status = native.statPath(path)
  keep(path)
  unlinkSync(path)
  expect(inode).not.toBe(status.inode)
  return { inode: status.inode, line: { ...line, inode: status.inode, permissions: 'rw-s', path: `${path} (deleted)` } }
}

test('a file in memory that is only mapped any more, shared, is known by that it has no name', () => {
  const { inode, line } = onlyMapped(() => undefined)
  using own = new OwnTree({ frozen: false })
  expect(identifyDeleted(own.process, own.tree, line, line.path)).toMatchObject({ inode, deleted: true, content: { inode, memfd: null } })
})

test('one that has a name in another folder is not taken for one without', () => {
  const folder = mkdtempSync('/dev/shm/thaw-elsewhere-')
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const { line } = onlyMapped((path) => linkSync(path, `${folder}/name`))
  using own = new OwnTree({ frozen: false })
  expect(() => identifyDeleted(own.process, own.tree, line, line.path)).toThrow(expect.objectContaining({ code: 'THAW_FILE_REPLACED' }))
})
