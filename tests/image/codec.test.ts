import { expect, test } from 'vitest'
import { decodeImage, encodeImage } from '../../dist/core/image/codec.js'
import type { DescriptionModel, ImageModel } from '../../dist/core/image/model.js'
import { IMAGE_VERSION } from '../../dist/core/image/version.js'
import { descriptionKinds } from '../../dist/core/resources/kinds.js'
import { fullProcess } from './full-process.ts'

const HIGHEST = 2n ** 64n - 1n

const description = (id: number, kind: string, payload: unknown): DescriptionModel => ({
  id,
  flags: 0o100002,
  ownerType: 2,
  owner: -5,
  signal: 10,
  kind,
  payload,
})

/** All kinds; those with values of every sort are filled in. */
const payloads: Readonly<Record<string, object>> = {
  regular_file: {
    path: '/tmp/é\n',
    position: 2n ** 62n,
    folder: true,
    goneName: 'x',
    device: 1n,
    inode: HIGHEST,
    deletedFolderMode: 0o700,
    deleted: {
      device: 1n,
      inode: 2n,
      mode: 0o100644,
      uid: 2 ** 32 - 2,
      gid: 4,
      sizeBytes: HIGHEST,
      accessed: -1n,
      modified: 5n,
      extents: [{ offset: 1n, sizeBytes: 2n, keptAt: 3n }],
      memfd: { name: '', seals: 0x20 },
    },
    locks: [{ type: 'POSIX', exclusive: true, start: -(2n ** 63n), length: 2n ** 63n - 1n }],
  },
  pipe: { inode: HIGHEST, sizeBytes: 65536, chunks: [{ data: Uint8Array.of(0, 255), packet: true }] },
  eventfd: { count: HIGHEST - 1n, semaphore: true },
  signalfd: { mask: HIGHEST },
}

const image: ImageModel = {
  formatVersion: IMAGE_VERSION,
  machine: { kernelRelease: '6.18.0', cpuFlags: 'fpu sse' },
  clocks: { monotonic: 1n, boottime: 2n ** 53n + 1n, realtime: -1n, taken: 4n },
  processes: [fullProcess],
  descriptions: descriptionKinds.map(({ name }, i) => description(i + 1, name, payloads[name] ?? {})),
  blobs: [Uint8Array.of(1, 2), new Uint8Array()],
  zombies: [{ pid: 9, parentPid: 7, groupId: 7, sessionId: 7, name: Uint8Array.of(0xc3), status: 0x100 }],
  semaphores: [{ permissions: { key: -1, id: 5, mode: 0o666, uid: 1, gid: 2, creatorUid: 3, creatorGid: 4 }, values: [0, 32767] }],
  memoryFiles: [
    {
      path: 'folder/file',
      mode: 0o100600,
      uid: 1,
      gid: 2,
      sizeBytes: 3n,
      accessed: 4n,
      modified: 5n,
      extents: [{ offset: 0n, sizeBytes: 3n, keptAt: 4096n }],
      target: '',
      sameAs: '',
    },
  ],
  queues: [
    {
      permissions: { key: 1, id: 6, mode: 0o666, uid: 1, gid: 2, creatorUid: 3, creatorGid: 4 },
      limitBytes: HIGHEST,
      messages: [{ type: 7n, text: Buffer.from('text') }],
    },
  ],
  sharedMemory: [
    {
      id: 1,
      sizeBytes: HIGHEST,
      pages: [{ start: 4096n, pageCount: 1n, fileOffset: 8192n }],
      segment: {
        permissions: { key: -7, id: 3, mode: 0o600, uid: 1, gid: 2, creatorUid: 3, creatorGid: 4 },
        sizeBytes: HIGHEST,
        creator: 8,
        removed: true,
        locked: true,
      },
    },
  ],
}

const isDamaged = expect.objectContaining({ name: 'ImageError', code: 'THAW_IMAGE_DAMAGED', path: '/images/x' })
const read = (bytes: Uint8Array): ImageModel => decodeImage(bytes, '/images/x')

/** Buffers and arrays of bytes are the same to a reader. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]))
}

test('machine, clocks, processes and blobs come back as they were', () => {
  const { descriptions: _, ...written } = image
  const { descriptions: __, ...again } = read(encodeImage(image))
  expect(plain(again)).toEqual(plain(written))
})

test.each(descriptionKinds.map(({ name }) => name))('a description of kind %s comes back as one', (name) => {
  const found = read(encodeImage(image)).descriptions.find(({ kind }) => kind === name)
  const { payload, ...common } = found!
  const { payload: written, ...commonWritten } = image.descriptions.find(({ kind }) => kind === name)!
  expect(common).toEqual(commonWritten)
  expect(plain(payload)).toMatchObject(plain(written) as object)
})

test('bytes come back as arrays of their own', () => {
  const bytes = read(encodeImage(image)).blobs[0]!
  expect(bytes.constructor).toBe(Uint8Array)
  expect(bytes.byteOffset).toBe(0)
  expect(bytes.buffer.byteLength).toBe(bytes.length)
})

test('what was read is written as the same bytes', () => {
  const bytes = encodeImage(image)
  expect(Buffer.from(encodeImage(read(bytes))).equals(bytes)).toBe(true)
})

test('an empty list comes back as one, and what is not there as null', () => {
  const thread = { ...fullProcess.threads[0]!, rseq: null, registers: [], pendingSignals: [] }
  const [process] = read(encodeImage({ ...image, processes: [{ ...fullProcess, threads: [thread], limits: [] }] })).processes
  expect(process?.limits).toEqual([])
  expect(process?.threads[0]).toMatchObject({ rseq: null, registers: [], pendingSignals: [] })
})

test('an image of another version is refused', () => {
  for (const formatVersion of [IMAGE_VERSION - 1, IMAGE_VERSION + 1]) {
    const bytes = encodeImage({ ...image, formatVersion })
    expect(() => read(bytes)).toThrow(expect.objectContaining({ name: 'ImageError', code: 'THAW_IMAGE_VERSION', path: '/images/x' }))
  }
})

test('damaged bytes: cut short anywhere, they are refused by name or at the end of a field', () => {
  const bytes = encodeImage(image)
  let refused = 0
  for (let length = 0; length < bytes.length; length++) {
    try {
      read(bytes.subarray(0, length))
    } catch (error) {
      expect(error).toMatchObject({ name: 'ImageError', path: '/images/x' })
      refused++
    }
  }
  // Between two fields of the outermost message a cut cannot be told from its end: the manifest's digest tells it.
  const fields = Object.values(image).reduce<number>((sum, field) => sum + (Array.isArray(field) ? field.length : 1), 0)
  expect(refused).toBeGreaterThanOrEqual(bytes.length - fields)
})

test('damaged bytes: noise', () => {
  expect(() => read(Buffer.alloc(100, 0xff))).toThrow(isDamaged)
  expect(() => read(Buffer.concat([encodeImage(image), Uint8Array.of(0x1a, 0x7f)]))).toThrow(isDamaged)
})

test('a description of no kind is damage', () => {
  // Field 5, a Description with nothing but its id.
  expect(() => read(Buffer.concat([encodeImage(image), Uint8Array.of(0x2a, 0x02, 0x08, 0x63)]))).toThrow(isDamaged)
})
