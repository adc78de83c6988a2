/**
 * Memory without a name that is shared (mmap(2) with MAP_SHARED | MAP_ANONYMOUS): a file of the kernel's own, known by its inode, which
 * mappings of one process or of several show; and segments of System V shared memory, which have an id besides. Carried once, made once per instance, and mapped wherever it was.
 */
import { closeSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { SystemError } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import type { PageFile } from '../checkpoint/page-file.js'
import { PAGE_BYTES } from '../checkpoint/pages.js'
import type { Mapping, PageRange, SharedMemoryModel } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import type { MappingLine } from '../proc/maps.js'
import type { SeenProcess } from './description.js'
import { extentsOf } from './file-extents.js'
import type { Extent } from './file-extents.js'
import { O_CLOEXEC, O_RDONLY } from './open-flags.js'
import type { Support } from './support.js'
import { isSegment } from './sysv-segment.js'
import type { SysvSegment } from './sysv-segment.js'

export const support: Support = {
  topic: 'memory',
  carried: 'shared mappings, shared between processes as before',
  refused: { THAW_SHARED_GUARD: 'guards in shared memory, for ordinary users' },
}

const PROT_READ = 1

interface Shown {
  readonly process: SeenProcess
  readonly mapping: Mapping
  /** It cannot be read there from end to end. */
  readonly hasGuards: boolean
}

interface Memory {
  readonly id: number
  readonly shown: Shown[]
  readonly segment: SysvSegment | null
}

/** All shared memory of a tree, as its mappings are collected. */
export class SharedMemories {
  readonly #memories = new Map<string, Memory>()
  readonly #segments: readonly SysvSegment[]

  /** @param segments those of the tree */
  constructor(segments: readonly SysvSegment[]) {
    this.#segments = segments
  }

  /** Notes which memory each mapping shows. @param lines the same mappings as /proc prints them @param guards of the process */
  note(process: SeenProcess, mappings: readonly Mapping[], lines: readonly MappingLine[], guards: readonly PageRange[]): void {
    const byStart = new Map(lines.map((line) => [line.start, line]))
    for (const mapping of mappings) {
      const line = byStart.get(mapping.start)
      if (mapping.kind !== MappingKind.anonymousShared || line === undefined) continue
      const segment = isSegment(line) ? this.#segments.find(({ permissions }) => BigInt(permissions.id) === line.inode) : undefined
      // The inode of a segment is its id, which may be the inode of other memory.
      const key = `${isSegment(line) ? 'segment' : line.device} ${line.inode}`
      const memory = this.#memories.get(key) ?? { id: this.#memories.size + 1, shown: [], segment: segment ?? null }
      this.#memories.set(key, memory)
      memory.shown.push({ process, mapping, hasGuards: guards.some((guard) => lieIn(mapping, guard)) })
      mapping.sharedMemory = memory.id
      mapping.offset = line.offset
    }
  }

  /** Begins to copy what was written of all of it to the page file, from `offset` on. */
  collect(pageFile: PageFile, offset: bigint): { models: SharedMemoryModel[]; end: bigint } {
    let end = offset
    const models = [...this.#memories.values()].map(({ id, shown, segment }): SharedMemoryModel => {
      const pieces = piecesOf(shown)
      const pages: PageRange[] = []
      for (const { mapping, process, start, lengthBytes, hasGuards } of pieces) {
        const range = { start: start - mapping.offset + mapping.start, pageCount: lengthBytes / PAGE_BYTES, fileOffset: end }
        pageFile.require(end + lengthBytes)
        if (hasGuards) copyBehindGuards(process, mapping, start, pageFile, end, lengthBytes)
        else startReading(process, mapping, range, pageFile)
        pages.push({ ...range, start })
        end += lengthBytes
      }
      const sizeBytes = shown.reduce((most, { mapping }) => max(most, mapping.offset + mapping.end - mapping.start), 0n)
      return { id, sizeBytes, pages, segment }
    })
    return { models, end }
  }
}

function startReading({ pid }: SeenProcess, { protection }: Mapping, range: PageRange, pageFile: PageFile): void {
  const memFd = native.open(`/proc/${pid}/mem`, O_RDONLY | O_CLOEXEC)
  try {
    pageFile.start(pid, memFd, () => (protection & PROT_READ) !== 0, [range])
  } finally {
    closeSync(memFd)
  }
}

/** What a guard stands before is there all the same, for who maps it elsewhere or takes the guard away. */
function copyBehindGuards(process: SeenProcess, mapping: Mapping, offset: bigint, pageFile: PageFile, to: bigint, sizeBytes: bigint): void {
  const fd = openMapped(process, mapping)
  if (fd === undefined) throw guarded(process, mapping)
  try {
    native.copyRange(fd, offset, pageFile.fd, to, sizeBytes)
  } finally {
    closeSync(fd)
  }
}

/** @throws UnsupportedError THAW_SHARED_GUARD where the memory behind guards cannot be had */
export function refuseGuarded(process: SeenProcess, mappings: readonly Mapping[], guards: readonly PageRange[]): void {
  for (const mapping of mappings) {
    if (mapping.kind !== MappingKind.anonymousShared || !guards.some((guard) => lieIn(mapping, guard))) continue
    const fd = openMapped(process, mapping)
    if (fd === undefined) throw guarded(process, mapping)
    closeSync(fd)
  }
}

const lieIn = ({ start, end }: Mapping, range: PageRange): boolean => start <= range.start && range.start < end

export const guarded = ({ pid, name }: SeenProcess, { start, end }: Pick<Mapping, 'start' | 'end'>): UnsupportedError =>
  new UnsupportedError(
    'THAW_SHARED_GUARD',
    `Cannot checkpoint pid ${pid} (${name}): the mapping at 0x${start.toString(16)}-0x${end.toString(16)} is shared memory with guards (MADV_GUARD_INSTALL), behind which only root can look. Checkpoint it as root, or remove the guards before.`,
    { pid },
  )

interface Piece extends Shown {
  /** Offset in the memory. */
  readonly start: bigint
  readonly lengthBytes: bigint
}

/** Each byte once, through whichever mapping shows it first. */
function piecesOf(shown: readonly Shown[]): Piece[] {
  const pieces: Piece[] = []
  let covered = 0n
  for (const one of shown.toSorted((a, b) => (a.mapping.offset < b.mapping.offset ? -1 : 1))) {
    const { offset, start, end } = one.mapping
    const from = max(offset, covered)
    const to = offset + end - start
    if (from >= to) continue
    for (const { offset: at, sizeBytes } of writtenIn(one, from, to)) pieces.push({ ...one, start: at, lengthBytes: inPages(sizeBytes) })
    covered = to
  }
  return pieces
}

/** A segment need not end with a page, but its mappings do. */
const inPages = (bytes: bigint): bigint => ((bytes + PAGE_BYTES - 1n) / PAGE_BYTES) * PAGE_BYTES

/** Where something was ever written. Only who may follow map_files is told; else all of it is read, which looks the same. */
function writtenIn({ process, mapping }: Shown, from: bigint, to: bigint): Extent[] {
  const fd = openMapped(process, mapping)
  if (fd === undefined) return [{ offset: from, sizeBytes: to - from }]
  try {
    return [...extentsOf(fd, from, to)]
  } finally {
    closeSync(fd)
  }
}

/** The file that a mapping shows; undefined for who may not follow map_files. */
function openMapped({ pid }: SeenProcess, { start, end }: Mapping): number | undefined {
  try {
    return native.open(`/proc/${pid}/map_files/${start.toString(16)}-${end.toString(16)}`, O_RDONLY | O_CLOEXEC)
  } catch (error) {
    if (!['EPERM', 'EACCES'].includes((error as SystemError).code)) throw error
    return undefined
  }
}

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b)
