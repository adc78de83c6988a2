/**
 * Memory without a name that is shared (mmap(2) with MAP_SHARED | MAP_ANONYMOUS): a file of the kernel's own, known by its inode, which
 * mappings of one process or of several show; and segments of System V shared memory, which have an id besides. Carried once, made once per instance, and mapped wherever it was.
 */
import { closeSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { SystemError } from '../../native/index.js'
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

export const support: Support = { topic: 'memory', carried: 'shared mappings, shared between processes as before' }

interface Shown {
  readonly process: SeenProcess
  readonly mapping: Mapping
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

  /** Notes which memory each mapping shows. @param lines the same mappings as /proc prints them */
  note(process: SeenProcess, mappings: readonly Mapping[], lines: readonly MappingLine[]): void {
    const byStart = new Map(lines.map((line) => [line.start, line]))
    for (const mapping of mappings) {
      const line = byStart.get(mapping.start)
      if (mapping.kind !== MappingKind.anonymousShared || line === undefined) continue
      const segment = isSegment(line) ? this.#segments.find(({ permissions }) => BigInt(permissions.id) === line.inode) : undefined
      // The inode of a segment is its id, which may be the inode of other memory.
      const key = `${isSegment(line) ? 'segment' : line.device} ${line.inode}`
      const memory = this.#memories.get(key) ?? { id: this.#memories.size + 1, shown: [], segment: segment ?? null }
      this.#memories.set(key, memory)
      memory.shown.push({ process, mapping })
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
      for (const { mapping, process, start, lengthBytes } of pieces) {
        const range = { start: start - mapping.offset + mapping.start, pageCount: lengthBytes / PAGE_BYTES, fileOffset: end }
        pageFile.require(end + lengthBytes)
        const memFd = native.open(`/proc/${process.pid}/mem`, O_RDONLY | O_CLOEXEC)
        try {
          pageFile.start(process.pid, memFd, () => (mapping.protection & 1) !== 0, [range])
        } finally {
          closeSync(memFd)
        }
        pages.push({ ...range, start })
        end += lengthBytes
      }
      const sizeBytes = shown.reduce((most, { mapping }) => max(most, mapping.offset + mapping.end - mapping.start), 0n)
      return { id, sizeBytes, pages, segment }
    })
    return { models, end }
  }
}

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
  let fd: number
  try {
    fd = native.open(`/proc/${process.pid}/map_files/${mapping.start.toString(16)}-${mapping.end.toString(16)}`, O_RDONLY | O_CLOEXEC)
  } catch (error) {
    if (!['EPERM', 'EACCES'].includes((error as SystemError).code)) throw error
    return [{ offset: from, sizeBytes: to - from }]
  }
  try {
    return [...extentsOf(fd, from, to)]
  } finally {
    closeSync(fd)
  }
}

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b)
