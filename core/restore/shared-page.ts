/**
 * What the processes of one instance share while they are restored: words to wait for each other by, and the tree's own shared memory
 * before it is mapped where it belongs. Made ahead, by the spare that becomes the first process, and inherited by those that it forks.
 */
import { contradiction } from '../image/contradiction.js'
import type { ImageModel, Mapping, PageRange, SharedMemoryModel } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import type { Cell } from '../program/bundle.js'
import type { Operation, Program } from '../program/program.js'
import type { Emitter } from '../resources/description.js'
import { MOST_NESTED } from '../resources/epoll.js'
import { emitReattached, emitSegment } from '../resources/sysv-segment.js'
import { writableMapping } from './mapping-program.js'
import { contentsOf, emitContents } from './template-program.js'
import type { Planning } from './planning.js'

const PAGE_BYTES = 4096n
const PROT_READ = 1
const PROT_READ_WRITE = 3
const MAP_SHARED_FIXED = 0x100001
const MAP_SHARED_ANONYMOUS_FIXED = 0x100021
const MAP_NORESERVE = 0x4000
const MREMAP_MAYMOVE_FIXED = 3

interface Placed {
  readonly at: bigint
  readonly memory: SharedMemoryModel
  /** Of mmap(2). */
  readonly flags: number
}

export class SharedPage {
  readonly #start: bigint
  readonly #sizeBytes: bigint
  readonly #memories: ReadonlyMap<number, Placed>
  readonly #isThere: bigint
  readonly #hasWaiting: boolean
  #words = 0

  /** @param start where there is room, as far as `end` then says @param isThere a word of the bundle, which is 1 once everything is made */
  constructor({ processes, zombies, sharedMemory }: ImageModel, start: bigint, isThere: bigint) {
    this.#start = start
    this.#isThere = isThere
    // For others of the tree, or for who founds the group that one is in.
    this.#hasWaiting = processes.length > 1 || zombies.length > 0 || processes.some(({ pid, groupId }) => groupId !== pid)
    // Ten words for all and one for each turn of epoll sets; at most five for each process: two for a group, one for each that helps to fork it.
    this.#sizeBytes = roundUp(BigInt(4 * (10 + MOST_NESTED + 5 * (processes.length + zombies.length))))
    const memories = new Map<number, Placed>()
    const unreserved = new Set(
      processes.flatMap((process) => process.memory.mappings.filter(isUnreserved).map((mapping) => mapping.sharedMemory)),
    )
    let at = start + this.#sizeBytes
    for (const memory of sharedMemory) {
      memories.set(memory.id, { at, memory, flags: MAP_SHARED_ANONYMOUS_FIXED | (unreserved.has(memory.id) ? MAP_NORESERVE : 0) })
      at += memory.sizeBytes
    }
    this.#memories = memories
    this.end = at
  }

  readonly end: bigint

  /** The address of a 32-bit word that is zero at first. */
  word(): bigint {
    return this.#start + 4n * BigInt(this.#words++)
  }

  /** Whether the processes of an image share anything, while they are restored or at all. */
  get isNeeded(): boolean {
    return this.#hasWaiting || this.#memories.size > 0
  }

  /**
   * In the spare, before anybody asks: filling takes some milliseconds for each ten megabytes. What fails here is left to the first process, which
   * then does it all, and tells what fails.
   */
  emitAhead(spare: Program, planning: Planning): void {
    if (!this.isNeeded) return
    const failed: Operation[] = []
    const must = (result: Cell, expected: bigint): unknown => failed.push(spare.jump(0, 'not-equal', result, expected))
    spare.for('shared memory', () => {
      this.#emitWords(spare, 'any', must)
      for (const { at, memory, flags } of this.#unnamed()) {
        must(spare.call('mmap', [at, memory.sizeBytes, PROT_READ_WRITE, flags, -1, 0], 'any'), at)
        for (const { vectors, count, offset, total } of contentsOf(spare, pagesAt(memory, at)))
          must(spare.call('preadv', [planning.pageFile, vectors, count, offset, 0], 'any'), total)
      }
      spare.store(this.#isThere, 1, 4)
    })
    for (const jump of failed) jump.target = spare.here
  }

  /** In the first process, before it forks. */
  emit(program: Program, planning: Planning, emitter: Emitter): void {
    if (!this.isNeeded) return
    program.for('shared memory', () => {
      const there = program.jump(0, 'equal', program.load(this.#isThere, 4), 1)
      program.call('munmap', [this.#start, this.end - this.#start])
      this.#emitWords(program, 'ok', () => undefined)
      for (const { at, memory, flags } of this.#unnamed()) {
        program.call('mmap', [at, memory.sizeBytes, PROT_READ_WRITE, flags, -1, 0], { equal: at })
        emitContents(program, planning.pageFile, pagesAt(memory, at))
      }
      there.target = program.here
      // Of the instance's own IPC namespace.
      for (const { at, memory } of this.#memories.values()) {
        if (memory.segment === null) continue
        emitSegment(emitter, memory.segment, at, planning.root.pid)
        emitContents(program, planning.pageFile, pagesAt(memory, at))
      }
    })
  }

  /** Named like the interpreter's mapping, which stays, too. */
  #emitWords(program: Program, expect: 'ok' | 'any', must: (result: Cell, expected: bigint) => unknown): void {
    const fd = program.call('memfd_create', [program.bundle.string('thaw-restorer'), 1], expect)
    must(program.call('ftruncate', [fd, this.#sizeBytes], expect), 0n)
    must(program.call('mmap', [this.#start, this.#sizeBytes, PROT_READ_WRITE, MAP_SHARED_FIXED, fd, 0], expect), this.#start)
    program.call('close', [fd], expect)
  }

  #unnamed(): Placed[] {
    return [...this.#memories.values()].filter(({ memory }) => memory.segment === null)
  }

  /** Maps shared memory where a mapping of a process has it: an old length of 0 makes a second mapping of the same (mremap(2)). */
  emitMapping(program: Program, mapping: Mapping): void {
    const memory = this.#memories.get(mapping.sharedMemory)
    if (memory === undefined || mapping.kind !== MappingKind.anonymousShared)
      throw contradiction(`shared memory ${mapping.sharedMemory}, which is mapped, is not there`)
    const length = mapping.end - mapping.start
    // What was attached for reading can never be made writable.
    const { segment } = memory.memory
    const readOnly = segment !== null && !writableMapping(mapping)
    if (readOnly) emitReattached(program, segment, memory.at, false)
    program.call('mremap', [memory.at + mapping.offset, 0, length, MREMAP_MAYMOVE_FIXED, mapping.start], { equal: mapping.start })
    if (mapping.protection !== (readOnly ? PROT_READ : PROT_READ_WRITE))
      program.call('mprotect', [mapping.start, length, mapping.protection])
    if (readOnly) emitReattached(program, segment, memory.at, true)
  }

  /** The shared memory is where it belongs; the words stay as long as others may wait by them. */
  emitRelease(program: Program): void {
    const from = this.#start + this.#sizeBytes
    if (this.end > from) program.call('munmap', [from, this.end - from])
  }
}

/** Such memory may be larger than the machine's. */
const isUnreserved = ({ kind, flags }: Mapping): boolean => kind === MappingKind.anonymousShared && flags.includes('nr')

const pagesAt = ({ pages }: SharedMemoryModel, at: bigint): PageRange[] => pages.map((range) => ({ ...range, start: at + range.start }))

const roundUp = (bytes: bigint): bigint => ((bytes + PAGE_BYTES - 1n) / PAGE_BYTES) * PAGE_BYTES
