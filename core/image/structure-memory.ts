/** Whether the memory of an image fits itself: mappings each other, their contents the mappings, and both the page file. */
import { isWiped } from '../checkpoint/pages.js'
import { verifyExtents } from '../resources/kept-file.js'
import type { ImageModel, Mapping, PageRange, ProcessModel } from './model.js'
import { MappingKind } from './model.js'
import type { Require } from './structure.js'

const PAGE_BYTES = 4096n

/** The end of what a process may map, with four levels of page tables. */
const TASK_SIZE = 0x7fff_ffff_f000n

type Range = Pick<Mapping, 'start' | 'end'>

const isAligned = (address: bigint): boolean => address % PAGE_BYTES === 0n

const liesIn = ({ fileOffset, pageCount }: PageRange, pageBytes: bigint): boolean =>
  fileOffset >= 0n && pageCount > 0n && fileOffset + pageCount * PAGE_BYTES <= pageBytes

/** @returns the size of each */
export function verifyShared({ sharedMemory }: ImageModel, pageBytes: bigint, require: Require): ReadonlyMap<number, bigint> {
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

/** @param shared sizes of the shared memory that there is @param rings where rings have their memory */
export function verifyMemory(
  { pid, memory }: ProcessModel,
  shared: ReadonlyMap<number, bigint>,
  rings: readonly Range[],
  pageBytes: bigint,
  require: Require,
): void {
  const mappings = memory.mappings.toSorted((a, b) => (a.start < b.start ? -1 : 1))
  mappings.forEach(({ start, end }, i) => {
    const before = mappings[i - 1]
    require(start >= 0n &&
      end <= TASK_SIZE &&
      isAligned(start) &&
      isAligned(end), `process ${pid} cannot have a mapping at 0x${start.toString(16)}`)
    require(start < end && (before === undefined || before.end <= start), `mappings of process ${pid} overlap at 0x${start.toString(16)}`)
  })
  for (const mapping of mappings) {
    const requireOfIt: Require = (fits, otherwise) =>
      require(fits, `the mapping of process ${pid} at 0x${mapping.start.toString(16)} ${otherwise}`)
    verifyKind(mapping, shared, rings, requireOfIt)
    verifyFileContent(mapping, pageBytes, requireOfIt)
  }
  for (const range of memory.pages) {
    const what = `pages of process ${pid} at 0x${range.start.toString(16)}`
    require(liesIn(range, pageBytes), `${what} lie behind the end of the page file`)
    const mapping = isAligned(range.start) ? mappingOf(mappings, range) : undefined
    require(mapping !== undefined, `${what} belong to no mapping`)
    require(mapping !== undefined &&
      isPrivate(mapping) &&
      !isWiped(mapping), `${what} are of memory whose contents stand elsewhere, or nowhere`)
  }
  for (const range of memory.guards) {
    const what = `a guard of process ${pid} at 0x${range.start.toString(16)}`
    const mapping = isAligned(range.start) && range.pageCount > 0n ? mappingOf(mappings, range) : undefined
    require(mapping !== undefined, `${what} belongs to no mapping`)
    require(mapping !== undefined && !strange.includes(mapping.kind), `${what} is in memory that can have none`)
  }
}

const isPrivate = ({ kind }: Mapping): boolean => kind === MappingKind.anonymous || kind === MappingKind.filePrivate

/** Not made by mmap(2). */
const strange: readonly number[] = [MappingKind.vvar, MappingKind.vdso, MappingKind.ioUring]

/** It is of a kind that is known, of a file where that is one of files, and shows what is there. */
function verifyKind(
  { start, end, kind, file, offset, sharedMemory }: Mapping,
  shared: ReadonlyMap<number, bigint>,
  rings: readonly Range[],
  require: Require,
): void {
  require(kinds.has(kind), `is of the unknown kind ${kind}`)
  const ofFile = kind === MappingKind.filePrivate || kind === MappingKind.fileShared
  require(ofFile === (file !== null), ofFile ? 'is of no file' : 'is of a file, and of a kind that has none')
  const isRings = rings.some((ring) => ring.start <= start && end <= ring.end)
  require(kind !== MappingKind.ioUring || isRings, 'is memory of an io_uring that is not there')
  if (kind === MappingKind.anonymousShared)
    require(offset >= 0n && offset + end - start <= (shared.get(sharedMemory) ?? -1n), 'shows no shared memory')
}

const kinds = new Set<number>(Object.values(MappingKind))

/** What is kept of a file that was deleted. */
function verifyFileContent({ kind, file }: Mapping, pageBytes: bigint, require: Require): void {
  if (file === null || !file.deleted) return
  if (kind === MappingKind.fileShared) {
    require(file.content !== null, 'is of a deleted file, whose content is not there')
    if (file.content !== null)
      verifyExtents(file.content, pageBytes, (fits, otherwise) => require(fits, `is of a deleted file that ${otherwise}`))
  } else {
    const { contentOffset, sizeBytes } = file
    require(contentOffset >= 0n &&
      sizeBytes >= 0n &&
      contentOffset + sizeBytes <= pageBytes, 'is of a deleted file that has content behind the end of the page file')
  }
}

/** The vDSO and its data are moved, as a process is born with one of each: all have the same ones, of the same size. */
export function verifyVdso({ processes }: ImageModel, require: Require): void {
  const sizes = new Map<string, bigint>()
  for (const { pid, memory } of processes) {
    const own = new Set<string>()
    for (const { name, kind, start, end } of memory.mappings) {
      if (kind !== MappingKind.vdso && kind !== MappingKind.vvar) continue
      require(!own.has(name), `process ${pid} has ${name} twice`)
      own.add(name)
      require((sizes.get(name) ?? end - start) === end - start, `${name} of process ${pid} has another size than that of others`)
      sizes.set(name, end - start)
    }
  }
}

/** By binary search: there may be thousands of both. @param mappings in order */
function mappingOf(mappings: readonly Mapping[], { start, pageCount }: PageRange): Mapping | undefined {
  let [low, high] = [0, mappings.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((mappings[middle]?.end ?? 0n) > start) high = middle
    else low = middle + 1
  }
  const found = mappings[low]
  return found !== undefined && found.start <= start && start + pageCount * PAGE_BYTES <= found.end ? found : undefined
}
