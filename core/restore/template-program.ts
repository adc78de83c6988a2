/**
 * The template's own part: it replaces its address space by the root's memory, loads it, and says that it is ready. Shared mappings are
 * left to the instances.
 */
import { batches, isWiped } from '../checkpoint/pages.js'
import { findHole } from '../checkpoint/space.js'
import type { AddressRange } from '../checkpoint/space.js'
import type { Cell } from '../program/bundle.js'
import type { FileIdentity, ImageModel, Mapping, MemoryModel, PageRange } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import type { Program } from '../program/program.js'
import { emitDeletedFile } from '../resources/deleted-mapping.js'
import { emitProtectionKey, emitProtectionKeys } from '../resources/protection-keys.js'
import { emitAdvice, emitGuards, emitMapping, emitProtection, emitSeal, emitTouch, needsProtecting, pagesOf } from './mapping-program.js'
import { denseRanges } from './huge.js'
import type { Planning } from './planning.js'
import { Staging } from './staging.js'
import { apartIn, Stow, stowedIn } from './stow.js'

const TASK_SIZE = 0x7fff_ffff_f000n
const PR_SET_MM = 35
const PR_SET_MM_MAP = 14
const F_DUPFD_CLOEXEC = 1030
const RLIMIT_NOFILE = 7
const AT_FDCWD = -100
const O_RDONLY_CLOEXEC = 0o2000000
const MADV_COLLAPSE = 25
const PROT_WRITE = 2
const CONTROL_FD = 3
const PAGE_FILE_FD = 5
const REPORT_FD = 6
export function emitTemplate(program: Program, planning: Planning, handover: bigint): void {
  const { image, stows, vdso } = planning
  const [root, ...others] = image.processes
  if (root === undefined) throw new Error('an image without a process')
  emitDescriptors(program, planning)
  program.for('vDSO', () => {
    // Out of the way first: its final place may be taken by what is about to be unmapped, or by another process while that is loaded.
    vdso.emitAside(program, program.load(handover, 8))
    emitClearing(program, planning)
  })
  emitProtectionKeys(program, keysOf(image))
  for (const process of others) {
    program.for(`process ${process.pid}`, () => {
      const stow = stows.get(process)
      for (const round of stow?.rounds ?? []) {
        emitLoading(program, planning, process.memory, (mapping) => round.includes(mapping))
        program.for('out of the way', () => stow?.emitAway(program, round))
      }
    })
  }
  emitRootMemory(program, planning, root.memory)
  program.for('vDSO', () => vdso.emitPlaced(program, vdso.placesAside, root.memory))
  // Without the executable, which each process replaces itself: the words and the environment that ps shows of the template.
  program.for('layout', () => emitLayout(program, root.memory, false))
  program.for('seals', () => {
    for (const mapping of mappedOf(root.memory)) emitSeal(program, mapping)
  })
  program.for('ready', () => program.call('write', [planning.report, program.bundle.words(0), 1], { equal: 1 }))
}

/**
 * The first process's memory stands where it will be, so nearly all of it is loaded in one round. What the kernel would join with its neighbour is
 * out of the way meanwhile: once both have pages, they stay apart.
 */
function emitRootMemory(program: Program, planning: Planning, memory: MemoryModel): void {
  const [, second = []] = new Stow(stowedIn(memory), 0n).rounds
  const stow = new Stow(second, findHole([...memory.mappings, planning.region], new Stow(second, 0n).range.end))
  if (second.length > 0) {
    emitLoading(program, planning, memory, (mapping) => second.includes(mapping))
    program.for('out of the way', () => stow.emitAway(program, second))
  }
  emitLoading(program, planning, memory, (mapping) => !second.includes(mapping), stow.range)
  program.for('back in place', () => stow.emitBack(program))
}

/** What the template maps; the rest is made by the processes themselves. */
export const mappedOf = ({ mappings }: MemoryModel): Mapping[] =>
  mappings.filter(({ kind }) => kind === MappingKind.anonymous || kind === MappingKind.filePrivate)

/** A fork has the keys of who forked it: each process frees those that are not its own. */
export const keysOf = ({ processes }: ImageModel): number[] =>
  [...new Set(processes.flatMap(({ memory }) => memory.protectionKeys))].sort((a, b) => a - b)

/** The private memory of one process, at its own addresses. @param taken what stands beside it */
function emitLoading(
  program: Program,
  planning: Planning,
  memory: MemoryModel,
  which: (mapping: Mapping) => boolean,
  ...taken: AddressRange[]
): void {
  const mapped = mappedOf(memory).filter(which)
  const stagings = Staging.plan(memory, [planning.region, ...taken], which)
  const inPlace = mapped.filter((mapping) => !stagings.some((staging) => staging.has(mapping)))
  emitMappings(program, planning, inPlace, memory)
  emitTouched(program, inPlace, memory)
  program.for('staging', () => stagings.forEach((staging) => staging.emitArea(program)))
  const staged = pagesOf(memory.pages, mapped).map((range) => stagings.reduce((range, staging) => staging.staged(range), range))
  emitContents(program, planning.pageFile, staged)
  program.for('staging', () => stagings.forEach((staging) => staging.emitMoves(program, memory)))
  emitProtections(program, mapped, memory)
  program.for('huge pages', () => {
    for (const { start, end } of denseRanges(mapped, memory.pages)) program.call('madvise', [start, end - start, MADV_COLLAPSE], 'any')
  })
}

/** What has no pages, but once had, is known by that (it has an anon_vma), and so not joined with its neighbours. */
function emitTouched(program: Program, mapped: readonly Mapping[], memory: MemoryModel): void {
  const apart = apartIn(memory)
  program.for('empty neighbours', () => {
    for (const mapping of mapped.filter((candidate) => apart.has(candidate) && (candidate.protection & PROT_WRITE) !== 0))
      if (pagesOf(memory.pages, [mapping]).length === 0) emitTouch(program, mapping)
  })
}

/** Ours go above the tree's numbers; the low ones are left free. */
function emitDescriptors(program: Program, planning: Planning): void {
  const { bundle } = program
  program.for('service descriptors', () => {
    const limit = bundle.allocate(16)
    program.call('prlimit64', [0, RLIMIT_NOFILE, 0, limit])
    program.store(limit, program.load(limit + 8n, 8), 8)
    program.call('prlimit64', [0, RLIMIT_NOFILE, limit, 0])
    keep(program, planning.control, CONTROL_FD, planning.serviceBase)
    keep(program, planning.report, REPORT_FD, planning.serviceBase)
    keep(program, planning.pageFile, PAGE_FILE_FD, planning.serviceBase)
    program.call('close_range', [0, planning.serviceBase - 1, 0])
  })
}

function keep(program: Program, cell: Cell, fd: number, base: number): void {
  program.callInto(cell, 'fcntl', [fd, F_DUPFD_CLOEXEC, base])
}

function emitClearing(program: Program, { region }: Planning): void {
  program.call('munmap', [0, region.start])
  program.call('munmap', [region.end, TASK_SIZE - region.end])
}

const openByPath = (program: Program, path: string): Cell =>
  program.call('openat', [AT_FDCWD, program.bundle.string(path), O_RDONLY_CLOEXEC, 0])

function emitMappings(program: Program, { pageFile }: Planning, mapped: readonly Mapping[], memory: MemoryModel): void {
  const files = new Map<string, Cell>()
  const open = (file: FileIdentity): Cell => {
    const key = `${file.path} ${file.device}:${file.inode}`
    const fd = files.get(key) ?? (file.deleted ? emitDeletedFile(program, file, pageFile) : openByPath(program, file.path))
    files.set(key, fd)
    return fd
  }
  program.for('mappings', () => {
    for (const mapping of mapped)
      emitMapping(program, mapping, needsProtecting(mapping, memory.pages), mapping.file === null ? undefined : open(mapping.file))
    for (const fd of files.values()) program.call('close', [fd])
  })
}

/** Reads the pages of these mappings from the page file to where they belong. */
export function emitContents(program: Program, pageFile: Cell, pages: readonly PageRange[]): void {
  program.for('memory', () => {
    for (const { vectors, count, offset, total } of contentsOf(program, pages))
      program.call('preadv', [pageFile, vectors, count, offset, 0], { equal: total })
  })
}

/** By how many calls of preadv, of which vectors, from which offset, and what each must give. */
export function contentsOf(
  program: Program,
  pages: readonly PageRange[],
): { vectors: bigint; count: number; offset: bigint; total: bigint }[] {
  return [...batches(pages)].map((batch) => ({
    vectors: program.bundle.words(...batch.flatMap(({ start, lengthBytes }) => [start, lengthBytes])),
    count: batch.length,
    offset: batch[0]?.fileOffset ?? 0n,
    total: batch.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0n),
  }))
}

function emitProtections(program: Program, mapped: readonly Mapping[], memory: MemoryModel): void {
  program.for('protections', () => {
    for (const mapping of mapped) emitProtection(program, mapping, memory.pages)
    for (const mapping of mapped) {
      emitProtectionKey(program, mapping)
      emitAdvice(program, mapping)
    }
    emitGuards(
      program,
      memory,
      mapped.filter((mapping) => !isWiped(mapping)),
    )
  })
}

/**
 * struct prctl_mm_map (linux/prctl.h). @param withExecutable until then it is the template's, of which nothing is mapped any more: else the kernel
 * refuses (EBUSY)
 */
export function emitLayout(program: Program, { layout, auxv, executable }: MemoryModel, withExecutable: boolean): void {
  const { bundle } = program
  const exe = withExecutable ? openByPath(program, executable.path) : -1
  const { startCode, endCode, startData, endData, startBrk, brk, startStack, argStart, argEnd, envStart, envEnd } = layout
  const auxvAddress = bundle.bytes(auxv)
  const map = bundle.words(
    startCode,
    endCode,
    startData,
    endData,
    startBrk,
    brk,
    startStack,
    argStart,
    argEnd,
    envStart,
    envEnd,
    auxvAddress,
    0,
  )
  program.store(map + 96n, auxv.length, 4)
  program.store(map + 100n, exe, 4)
  program.call('prctl', [PR_SET_MM, PR_SET_MM_MAP, map, 104, 0])
  if (typeof exe !== 'number') program.call('close', [exe])
}
