/**
 * What the processes of one instance share while they are restored: words to wait for each other by, and the tree's own shared memory
 * before it is mapped where it belongs. Made by the first process, inherited by those that it forks.
 */
import type { ImageModel, Mapping, SharedMemoryModel } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import type { Program } from '../program/program.js'
import type { Emitter } from '../resources/description.js'
import { emitReattached, emitSegment } from '../resources/sysv-segment.js'
import { writableMapping } from './mapping-program.js'
import { emitContents } from './template-program.js'
import type { Planning } from './planning.js'

const PAGE_BYTES = 4096n
const PROT_READ = 1
const PROT_READ_WRITE = 3
const MAP_SHARED_FIXED = 0x100001
const MAP_SHARED_ANONYMOUS_FIXED = 0x100021
const MREMAP_MAYMOVE_FIXED = 3

export class SharedPage {
  readonly #start: bigint
  readonly #sizeBytes: bigint
  readonly #memories: ReadonlyMap<number, { readonly at: bigint; readonly memory: SharedMemoryModel }>
  #words = 0

  /** @param start where there is room for `sizeBytes` */
  constructor({ processes, zombies, sharedMemory }: ImageModel, start: bigint) {
    this.#start = start
    // Four words for all, and at most three for each process: two for a group, one for a nurse.
    this.#sizeBytes = roundUp(BigInt(4 * (4 + 3 * (processes.length + zombies.length))))
    const memories = new Map<number, { at: bigint; memory: SharedMemoryModel }>()
    let at = start + this.#sizeBytes
    for (const memory of sharedMemory) {
      memories.set(memory.id, { at, memory })
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

  /** In the first process, before it forks. Named like the interpreter's mapping, which stays, too. */
  emit(program: Program, planning: Planning, emitter: Emitter): void {
    program.for('shared page', () => {
      const fd = program.call('memfd_create', [program.bundle.string('thaw-restorer'), 1])
      program.call('ftruncate', [fd, this.#sizeBytes])
      program.call('mmap', [this.#start, this.#sizeBytes, PROT_READ_WRITE, MAP_SHARED_FIXED, fd, 0], { equal: this.#start })
      program.call('close', [fd])
    })
    program.for('shared memory', () => {
      for (const { at, memory } of this.#memories.values()) {
        if (memory.segment !== null) emitSegment(emitter, memory.segment, at, planning.root.pid)
        else program.call('mmap', [at, memory.sizeBytes, PROT_READ_WRITE, MAP_SHARED_ANONYMOUS_FIXED, -1, 0], { equal: at })
        const pages = memory.pages.map((range) => ({ ...range, start: at + range.start }))
        emitContents(program, planning.pageFile, pages)
      }
    })
  }

  /** Maps shared memory where a mapping of a process has it: an old length of 0 makes a second mapping of the same (mremap(2)). */
  emitMapping(program: Program, mapping: Mapping): void {
    const memory = this.#memories.get(mapping.sharedMemory)
    if (memory === undefined || mapping.kind !== MappingKind.anonymousShared)
      throw new Error(`the image has no shared memory ${mapping.sharedMemory}`)
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

const roundUp = (bytes: bigint): bigint => ((bytes + PAGE_BYTES - 1n) / PAGE_BYTES) * PAGE_BYTES
