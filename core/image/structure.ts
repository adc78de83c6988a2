/** Whether the parts of an image fit each other: what digests cannot tell, as the image may have been written wrong. */
import { UnsupportedError } from '../errors.js'
import { familyOf } from '../restore/family.js'
import { descriptionKinds } from '../resources/kinds.js'
import { damaged } from './manifest.js'
import type { ImageModel, Mapping, PageRange, ProcessModel } from './model.js'
import { MappingKind } from './model.js'

const PAGE_BYTES = 4096n

/** @throws ImageError THAW_IMAGE_DAMAGED */
export function verifyStructure(image: ImageModel, pageBytes: bigint, path: string): void {
  const require = (fits: boolean, otherwise: string): void => {
    if (!fits) throw damaged(path, otherwise)
  }
  require(image.processes.length > 0, 'it has no process')
  const kinds = new Set(descriptionKinds.map(({ name }) => name))
  for (const { id, kind } of image.descriptions) require(kinds.has(kind), `description ${id} is of the unknown kind ${kind}`)
  const known = new Set(image.descriptions.map(({ id }) => id))
  verifyFamily(image, require)
  const shared = new Map(image.sharedMemory.map((memory) => [memory.id, memory]))
  for (const { id, pages, sizeBytes } of image.sharedMemory)
    for (const range of pages) {
      const lengthBytes = range.pageCount * PAGE_BYTES
      require(range.start + lengthBytes <= sizeBytes, `shared memory ${id} has pages behind its end`)
      require(range.fileOffset + lengthBytes <= pageBytes, `pages of shared memory ${id} lie behind the end of the page file`)
    }
  for (const process of image.processes) {
    for (const { start, end, kind, offset, sharedMemory } of process.memory.mappings)
      if (kind === MappingKind.anonymousShared)
        require(offset + end - start <=
          (shared.get(sharedMemory)?.sizeBytes ??
            -1n), `the mapping of process ${process.pid} at 0x${start.toString(16)} shows no shared memory`)
    require(process.threads[0]?.tid === process.pid, `process ${process.pid} has no leader`)
    for (const { fd, description } of process.descriptors)
      require(known.has(description), `descriptor ${fd} of process ${process.pid} refers to nothing`)
    verifyMemory(process, pageBytes, require)
  }
}

/** Parents come before their children, and every process can be forked into its session. */
function verifyFamily(image: ImageModel, require: (fits: boolean, otherwise: string) => void): void {
  const known = new Set<number>([0])
  const tids = new Set<number>()
  for (const { pid, parentPid, threads } of [
    ...image.processes,
    ...image.zombies.map((zombie) => ({ ...zombie, threads: [{ tid: zombie.pid }] })),
  ]) {
    require(known.has(parentPid), `process ${pid} is a child of ${parentPid}, which is not there`)
    known.add(pid)
    for (const { tid } of threads) {
      require(!tids.has(tid), `two threads have the id ${tid}`)
      tids.add(tid)
    }
  }
  try {
    familyOf(image)
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error
    require(false, error.message)
  }
}

function verifyMemory({ pid, memory }: ProcessModel, pageBytes: bigint, require: (fits: boolean, otherwise: string) => void): void {
  const mappings = memory.mappings.toSorted((a, b) => (a.start < b.start ? -1 : 1))
  mappings.forEach(({ start, end }, i) => {
    const before = mappings[i - 1]
    require(start < end && (before === undefined || before.end <= start), `mappings of process ${pid} overlap at 0x${start.toString(16)}`)
  })
  for (const range of memory.pages) {
    const lengthBytes = range.pageCount * PAGE_BYTES
    require(range.fileOffset + lengthBytes <=
      pageBytes, `pages of process ${pid} at 0x${range.start.toString(16)} lie behind the end of the page file`)
    require(isMapped(mappings, range), `pages of process ${pid} at 0x${range.start.toString(16)} belong to no mapping`)
  }
}

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
