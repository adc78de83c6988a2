/** Whether the parts of an image fit each other: what digests cannot tell, as the image may have been written wrong. */
import { UnsupportedError } from '../errors.js'
import { familyOf } from '../restore/family.js'
import { isEnding } from '../resources/ending.js'
import { isFileOfShm, type MemoryFile } from '../resources/memory-files.js'
import type { IoUring } from '../resources/io-uring/ring.js'
import { ioUring } from '../resources/io-uring.js'
import { descriptionKinds, kindNamed } from '../resources/kinds.js'
import { damaged } from './manifest.js'
import type { ImageModel, Mapping, PageRange, ProcessModel, ThreadModel } from './model.js'
import { MappingKind } from './model.js'

const PAGE_BYTES = 4096n

/** The end of what a process may map, with four levels of page tables. */
const TASK_SIZE = 0x7fff_ffff_f000n
/** Words of struct user_regs_struct, and the least that XSAVE stores: what FXSAVE does, and its own header. */
const REGISTERS = 27
const LEAST_EXTENDED_STATE = 576

type Require = (fits: boolean, otherwise: string) => void

/** @throws ImageError THAW_IMAGE_DAMAGED */
export function verifyStructure(image: ImageModel, pageBytes: bigint, path: string): void {
  const require: Require = (fits, otherwise) => {
    if (!fits) throw damaged(path, otherwise)
  }
  require(image.processes.length > 0, 'it has no process')
  verifyDescriptions(image, require)
  verifyFamily(image, require)
  const shared = verifyShared(image, pageBytes, require)
  verifyMemoryFiles(image.memoryFiles, pageBytes, require)
  const rings = image.descriptions.flatMap(({ kind, payload }) => (kind === ioUring.name ? (payload as IoUring).mappings : []))
  for (const process of image.processes) {
    for (const thread of process.threads) verifyThread(thread, require)
    verifyMemory(process, rings, pageBytes, require)
    for (const { start, end, kind, offset, sharedMemory } of process.memory.mappings)
      if (kind === MappingKind.anonymousShared)
        require(offset + end - start <=
          (shared.get(sharedMemory) ?? -1n), `the mapping of process ${process.pid} at 0x${start.toString(16)} shows no shared memory`)
  }
}

/** Descriptions have ids of their own, kinds that are known, and descriptors that lead to them; what they say of each other is true. */
function verifyDescriptions(image: ImageModel, require: Require): void {
  const kinds = new Set(descriptionKinds.map(({ name }) => name))
  const known = new Set<number>()
  for (const { id, kind } of image.descriptions) {
    require(kinds.has(kind), `description ${id} is of the unknown kind ${kind}`)
    require(!known.has(id), `there are two descriptions ${id}`)
    known.add(id)
  }
  for (const { pid, descriptors } of image.processes) {
    const taken = new Set<number>()
    for (const { fd, description } of descriptors) {
      require(fd >= 0 && !taken.has(fd), `process ${pid} has descriptor ${fd} twice, or cannot have it`)
      require(known.has(description), `descriptor ${fd} of process ${pid} refers to nothing`)
      taken.add(fd)
    }
  }
  for (const { id, kind, payload } of image.descriptions)
    kindNamed(kind).verify?.(payload, image, (fits, otherwise) => require(fits, `description ${id} ${otherwise}`))
}

/** @returns the size of each */
function verifyShared({ sharedMemory }: ImageModel, pageBytes: bigint, require: Require): ReadonlyMap<number, bigint> {
  const sizes = new Map<number, bigint>()
  for (const { id, pages, sizeBytes } of sharedMemory) {
    require(!sizes.has(id), `there is shared memory ${id} twice`)
    require(sizeBytes > 0n && isAligned(sizeBytes) && sizeBytes < TASK_SIZE, `shared memory ${id} cannot have ${sizeBytes} bytes`)
    sizes.set(id, sizeBytes)
    for (const range of pages) {
      const lengthBytes = range.pageCount * PAGE_BYTES
      require(isAligned(range.start) &&
        range.start >= 0n &&
        range.pageCount > 0n &&
        range.start + lengthBytes <= sizeBytes, `shared memory ${id} has pages behind its end`)
      require(liesIn(range, pageBytes), `pages of shared memory ${id} lie behind the end of the page file`)
    }
  }
  return sizes
}

/** Folders come before what is in them, a file before its other names. */
function verifyMemoryFiles(files: readonly MemoryFile[], pageBytes: bigint, require: Require): void {
  const modes = new Map<string, number>()
  for (const { path, mode, sameAs, sizeBytes, extents } of files) {
    require(isFileOfShm(path, mode, (folder) => modes.get(folder)), `there cannot be a file ${path} on /dev/shm`)
    require(!modes.has(path), `there is ${path} on /dev/shm twice`)
    require(sameAs === '' || modes.get(sameAs) === mode, `${path} on /dev/shm is to be the same as ${sameAs}, which it is not`)
    modes.set(path, mode)
    for (const { offset, sizeBytes: length, keptAt } of extents) {
      require(length > 0n && offset >= 0n && offset + length <= sizeBytes, `${path} on /dev/shm has content behind its end`)
      require(keptAt >= 0n && keptAt + length <= pageBytes, `content of ${path} on /dev/shm lies behind the end of the page file`)
    }
  }
}

function verifyThread({ tid, registers, extendedState }: ThreadModel, require: Require): void {
  require(registers.length === REGISTERS, `thread ${tid} has ${registers.length} registers`)
  require(extendedState.length >= LEAST_EXTENDED_STATE, `the extended state of thread ${tid} is cut short`)
}

/** Parents come before their children, and every process can be forked into its session. */
function verifyFamily(image: ImageModel, require: Require): void {
  const known = new Set<number>([0])
  const tids = new Set<number>()
  const verifyTid = (tid: number): void => {
    require(tid > 0 && !tids.has(tid), `two threads have the id ${tid}, or none can have it`)
    tids.add(tid)
  }
  for (const { pid, parentPid, threads } of image.processes) {
    require(threads[0]?.tid === pid, `process ${pid} has no leader`)
    require(known.has(parentPid), `process ${pid} is a child of ${parentPid}, which is not there`)
    known.add(pid)
    for (const { tid } of threads) verifyTid(tid)
  }
  // A zombie waits for a process that can reap it, which a zombie cannot.
  known.delete(0)
  for (const { pid, parentPid, status } of image.zombies) {
    require(known.has(parentPid), `zombie ${pid} is a child of ${parentPid}, which is no process of the tree`)
    require(isEnding(status), `zombie ${pid} cannot have ended with status 0x${status.toString(16)}`)
    verifyTid(pid)
  }
  try {
    familyOf(image)
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error
    require(false, error.message)
  }
}

const isAligned = (address: bigint): boolean => address % PAGE_BYTES === 0n

const liesIn = ({ fileOffset, pageCount }: PageRange, pageBytes: bigint): boolean =>
  fileOffset >= 0n && pageCount > 0n && fileOffset + pageCount * PAGE_BYTES <= pageBytes

function verifyMemory({ pid, memory }: ProcessModel, rings: readonly Range[], pageBytes: bigint, require: Require): void {
  const mappings = memory.mappings.toSorted((a, b) => (a.start < b.start ? -1 : 1))
  mappings.forEach(({ start, end }, i) => {
    const before = mappings[i - 1]
    require(start >= 0n &&
      end <= TASK_SIZE &&
      isAligned(start) &&
      isAligned(end), `process ${pid} cannot have a mapping at 0x${start.toString(16)}`)
    require(start < end && (before === undefined || before.end <= start), `mappings of process ${pid} overlap at 0x${start.toString(16)}`)
  })
  for (const mapping of mappings)
    verifyKind(mapping, rings, (fits, otherwise) =>
      require(fits, `the mapping of process ${pid} at 0x${mapping.start.toString(16)} ${otherwise}`),
    )
  for (const range of memory.pages) {
    const what = `pages of process ${pid} at 0x${range.start.toString(16)}`
    require(liesIn(range, pageBytes), `${what} lie behind the end of the page file`)
    require(isAligned(range.start) && isMapped(mappings, range), `${what} belong to no mapping`)
  }
  for (const range of memory.guards)
    require(isAligned(range.start) &&
      range.pageCount > 0n &&
      isMapped(mappings, range), `a guard of process ${pid} at 0x${range.start.toString(16)} belongs to no mapping`)
}

type Range = Pick<Mapping, 'start' | 'end'>

/** It is of a kind that is known, and of a file where that is one of files. */
function verifyKind({ start, end, kind, file }: Mapping, rings: readonly Range[], require: Require): void {
  require(kinds.has(kind), `is of the unknown kind ${kind}`)
  const ofFile = kind === MappingKind.filePrivate || kind === MappingKind.fileShared
  require(ofFile === (file !== null), ofFile ? 'is of no file' : 'is of a file, and of a kind that has none')
  const isRings = rings.some((ring) => ring.start <= start && end <= ring.end)
  require(kind !== MappingKind.ioUring || isRings, 'is memory of an io_uring that is not there')
}

const kinds = new Set<number>(Object.values(MappingKind))

/** By binary search: there may be thousands of both. @param mappings in order */
function isMapped(mappings: readonly Mapping[], { start, pageCount }: PageRange): boolean {
  let [low, high] = [0, mappings.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((mappings[middle]?.end ?? 0n) > start) high = middle
    else low = middle + 1
  }
  const found = mappings[low]
  return found !== undefined && found.start <= start && start + pageCount * PAGE_BYTES <= found.end
}
