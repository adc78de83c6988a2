/**
 * Images whose parts contradict each other are refused with the place named, by `verify` and before anything is restored; whatever else is
 * wrong with one ends in an error of ours, and leaves nothing behind. `MUTATIONS=500` for so many random ones, from `MUTATIONS_FROM` on.
 */
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeImage, encodeImage } from '../../dist/core/image/codec.js'
import { MappingKind } from '../../dist/core/image/model.js'
import type { ImageModel, Mapping, ProcessModel, ZombieModel } from '../../dist/core/image/model.js'
import { verifyStructure } from '../../dist/core/image/structure.js'
import { checkpoint, closeCheckpointPool, type Host, openHost, openImage, ThawError } from '../../dist/core/index.js'
import { rehearse } from '../../dist/core/restore/rehearsal.js'
import { FixtureProgram } from '../fixtures/program.ts'
import { mutate, randomNumbers } from './mutations.ts'
import { replaceMetadata } from './rewrite.ts'

/** A tree of several processes that hold something of nearly everything. */
const SEED = '7'
const PATH = '/images/x/metadata.bin'

let original: Uint8Array
let host: Host
let program: FixtureProgram
let folder: string
let pageBytes: bigint

beforeAll(async () => {
  program = await FixtureProgram.start('mixture', { args: [SEED], env: { GLIBC_TUNABLES: 'glibc.pthread.rseq=0' } })
  folder = join(program.folder, 'images')
  await using image = (await checkpoint(program.pid, { then: 'kill' })).image
  await image.write(folder)
  original = readFileSync(join(folder, 'metadata.bin'))
  pageBytes = BigInt(image.sizeBytes)
  host = await openHost()
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
  await program[Symbol.asyncDispose]()
  await closeCheckpointPool()
})

/** What `thaw verify` does behind the digests. */
function verify(model: ImageModel): void {
  const read = decodeImage(encodeImage(model), PATH)
  verifyStructure(read, pageBytes, PATH)
  rehearse(read)
}

const copy = (): ImageModel => decodeImage(original, PATH)

test('as it was written, it is in order', () => expect(() => verify(copy())).not.toThrow())

const onFirst = (change: (process: ProcessModel) => void) => (model: ImageModel) => change(model.processes[0]!)
const onKind = (kind: string, change: (payload: Record<string, never>) => void) => (model: ImageModel) =>
  change(model.descriptions.find((description) => description.kind === kind)!.payload as Record<string, never>)

const aZombie = ({ processes, zombies }: ImageModel): ZombieModel => {
  const { pid, groupId, sessionId } = processes[0]!
  if (zombies.length === 0) zombies.push({ pid: 4_100_000, parentPid: pid, groupId, sessionId, name: new Uint8Array(), status: 0 })
  return zombies[0]!
}
const onZombie = (change: (zombie: ZombieModel) => void) => (model: ImageModel) => change(aZombie(model))
const onMapping = (kind: MappingKind, change: (mapping: Mapping) => void) =>
  onFirst(({ memory }) => {
    const mapping = memory.mappings.find((other) => other.kind === kind)
    // The mixture may have no such mapping; a file's own kind is as good as any other that has one.
    change(
      mapping ??
        Object.assign(
          memory.mappings.find(({ file }) => file !== null)!,
          { kind },
        ),
    )
  })

describe.each<[string, (model: ImageModel) => void, RegExp]>([
  ['a child without its parent', ({ processes }) => (processes.at(-1)!.parentPid = 4_000_000), /is a child of 4000000, which is not there/],
  ['two processes with one pid', ({ processes }) => (processes[1]!.pid = processes[0]!.pid), /has no leader|two threads have the id/],
  ['no process', (model) => (model.processes = []), /has no process/],
  ['a thread without registers', onFirst(({ threads }) => (threads[0]!.registers = [])), /has 0 registers/],
  ['a thread without extended state', onFirst(({ threads }) => (threads[0]!.extendedState = new Uint8Array(9))), /is cut short/],
  ['a descriptor that refers to nothing', onFirst(({ descriptors }) => (descriptors[0]!.description = 999)), /refers to nothing/],
  ['two descriptors with one number', onFirst(({ descriptors }) => (descriptors[1]!.fd = descriptors[0]!.fd)), /has descriptor \d+ twice/],
  ['two descriptions with one id', ({ descriptions }) => (descriptions[1]!.id = descriptions[0]!.id), /there are two descriptions/],
  ['mappings that overlap', onFirst(({ memory }) => (memory.mappings[0]!.end = memory.mappings[1]!.start + 4096n)), /overlap at 0x/],
  ['a mapping of half a page', onFirst(({ memory }) => (memory.mappings[0]!.end -= 1n)), /cannot have a mapping at 0x/],
  ['a mapping in the kernel', onFirst(({ memory }) => (memory.mappings.at(-1)!.end = 1n << 62n)), /cannot have a mapping at 0x/],
  ['pages of no mapping', onFirst(({ memory }) => (memory.pages[0]!.start = 4096n)), /belong to no mapping/],
  [
    'pages behind the end of the file',
    onFirst(({ memory }) => (memory.pages[0]!.fileOffset = 1n << 40n)),
    /behind the end of the page file/,
  ],
  [
    'a guard of no mapping',
    onFirst(({ memory }) => memory.guards.push({ start: 4096n, pageCount: 1n, fileOffset: 0n })),
    /a guard of process/,
  ],
  ['a zombie without a parent', onZombie((zombie) => (zombie.parentPid = 0)), /zombie \d+ is a child of 0, which is no process/],
  ['a zombie that waits for itself', onZombie((zombie) => (zombie.parentPid = zombie.pid)), /which is no process of the tree/],
  [
    'a zombie that waits for a zombie',
    (model) => model.zombies.push({ ...aZombie(model), pid: 4_000_000, parentPid: aZombie(model).pid }),
    /which is no process/,
  ],
  ['a zombie that was stopped', onZombie((zombie) => (zombie.status = 19)), /cannot have ended with status 0x13/],
  ['a zombie that ended by what is ignored', onZombie((zombie) => (zombie.status = 17)), /cannot have ended with status 0x11/],
  ['a zombie that ended by a signal and on its own', onZombie((zombie) => (zombie.status = 0x109)), /cannot have ended with status 0x109/],
  ['a zombie that ended by no signal', onZombie((zombie) => (zombie.status = 65)), /cannot have ended with status 0x41/],
  ['a shared mapping of no file', onMapping(MappingKind.fileShared, (mapping) => (mapping.file = null)), /is of no file/],
  ['a private mapping of no file', onMapping(MappingKind.filePrivate, (mapping) => (mapping.file = null)), /is of no file/],
  [
    'an anonymous mapping of a file',
    onMapping(MappingKind.filePrivate, (mapping) => (mapping.kind = MappingKind.anonymous)),
    /is of a file, and/,
  ],
  ['a mapping of another kind', onMapping(MappingKind.anonymous, (mapping) => (mapping.kind = 9 as MappingKind)), /of the unknown kind 9/],
  [
    'memory of no ring',
    onMapping(MappingKind.anonymous, (mapping) => (mapping.kind = MappingKind.ioUring)),
    /an io_uring that is not there/,
  ],
  ['shared memory that is not there', (model) => (model.sharedMemory = []), /shows no shared memory/],
  ['shared memory without a size', ({ sharedMemory }) => (sharedMemory[0]!.sizeBytes = 0n), /cannot have 0 bytes/],
  [
    'a unix socket without its peer',
    onKind('unix_socket', (payload) => (payload['peer'] = 12345 as never)),
    /connected to one that is not there|is not there/,
  ],
  [
    'an epoll set of nothing',
    onKind('epoll', (payload) => (payload['items'] = [{ fd: 1, events: 1, data: 0n, description: 999 }] as never)),
    /999/,
  ],
])('%s', (_, change, expected) => {
  test('is refused with its place', () => {
    const model = copy()
    change(model)
    expect(() => verify(model)).toThrow(
      expect.objectContaining({ name: 'ImageError', code: 'THAW_IMAGE_DAMAGED', message: expect.stringMatching(expected) }),
    )
  })
})

const from = Number(process.env['MUTATIONS_FROM'] ?? 1)
const count = Number(process.env['MUTATIONS'] ?? 40)

test.each(Array.from({ length: count }, (_, i) => from + i))('mutation %i is refused, or fails by name, or is restored', async (seed) => {
  const model = copy()
  const what = mutate(model, randomNumbers(seed))
  const before = readdirSync('/proc/self/fd').length
  try {
    verify(model)
    await restore(model)
  } catch (error) {
    expect(error, what).toBeInstanceOf(ThawError)
    expect((error as ThawError).code, what).not.toBe('THAW_RESTORE_STUCK')
  }
  expect(readdirSync('/proc/self/fd').length, what).toBe(before)
})

async function restore(model: ImageModel): Promise<void> {
  const nothing = openSync('/dev/null', 'r+')
  try {
    replaceMetadata(folder, encodeImage(model))
    await using image = await openImage(folder)
    await using template = await image.load(host, { network: 'new' })
    await using _ = await template.spawn({ stdio: [nothing, nothing, nothing] })
  } finally {
    closeSync(nothing)
  }
}
