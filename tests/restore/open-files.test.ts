/** Numbers of descriptors that are closed, but that something is registered by in an epoll set, have to fit, too. */
import { expect, test } from 'vitest'
import type { DescriptionModel, ImageModel } from '../../dist/core/image/model.js'
import type { SeenDescription, SeenTree } from '../../dist/core/resources/description.js'
import { firstUnused, refuseBeyondLimit, requireOpenFiles } from '../../dist/core/restore/open-files.js'
import { native } from '../../dist/native/index.js'
import { fullProcess } from '../image/full-process.ts'
import { OwnDescriptors, OwnTree } from '../resources/own-tree.ts'

/** More than the kernel allows (fs.nr_open). */
const BEYOND = 2 ** 31 - 64

const image = (fd: number): ImageModel => {
  const set = { id: 1, kind: 'epoll', payload: { items: [{ fd }], parameters: new Uint8Array() } } as unknown as DescriptionModel
  return { processes: [{ ...fullProcess, descriptors: [] }], descriptions: [set] } as unknown as ImageModel
}

test('ours stand above them', () => {
  expect([firstUnused(image(3)), firstUnused(image(300))]).toEqual([64, 301])
})

test('a restore that has no room for them is refused', () => {
  expect(() => requireOpenFiles(image(300))).not.toThrow()
  expect(() => requireOpenFiles(image(BEYOND))).toThrow(
    expect.objectContaining({
      code: 'THAW_OPEN_FILES',
      message: expect.stringContaining(`has descriptor ${BEYOND} (closed, but in an epoll set)`),
    }),
  )
})

test('so is a checkpoint', () => {
  using own = new OwnDescriptors()
  const set = own.keep(Number(native.syscall('epoll_create1', [0])))
  using tree = new OwnTree()
  const seen = tree.seen(set)
  const line = `tfd: ${BEYOND} events:       19 data:                1  pos:0 ino:1 sdev:f`
  const beside = (lines: string[]): SeenTree => ({ descriptions: [{ ...seen, info: { lines } } as unknown as SeenDescription] }) as SeenTree
  expect(() => refuseBeyondLimit(beside(['pos:\t0']), [])).not.toThrow()
  expect(() => refuseBeyondLimit(beside(['pos:\t0', line]), [])).toThrow(
    expect.objectContaining({
      code: 'THAW_OPEN_FILES',
      pid: process.pid,
      message: expect.stringContaining(`it has descriptor ${BEYOND} (closed, but in an epoll set)`),
    }),
  )
})
