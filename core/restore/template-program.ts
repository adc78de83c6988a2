/**
 * The template's own part: it replaces its address space by the root's memory, loads it, and says that it is ready. Shared mappings are
 * left to the instances.
 */
import { PAGE_BYTES, batches } from '../checkpoint/pages.js'
import type { Cell } from '../program/bundle.js'
import type { FileIdentity, Mapping, MemoryModel, PageRange } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import type { Program } from '../program/program.js'
import { emitDeletedFile } from '../resources/deleted-mapping.js'
import { emitProtectionKey, emitProtectionKeys } from '../resources/protection-keys.js'
import { emitAdvice, emitMapping, emitSeal, needsProtecting, pagesOf } from './mapping-program.js'
import { denseRanges } from './huge.js'
import type { Planning } from './planning.js'
import { Staging } from './staging.js'

const TASK_SIZE = 0x7fff_ffff_f000n
const MREMAP_MAYMOVE_FIXED = 3
const PR_SET_MM = 35
const PR_SET_MM_MAP = 14
const F_DUPFD_CLOEXEC = 1030
const RLIMIT_NOFILE = 7
const AT_FDCWD = -100
const O_RDONLY_CLOEXEC = 0o2000000
const MADV_COLLAPSE = 25
const MADV_GUARD_INSTALL = 102
const CONTROL_FD = 3
const PAGE_FILE_FD = 5
const REPORT_FD = 6
/** From the start of the vvar to the start of the vDSO, in every process of this kernel: told by the image's own mappings. */
type Special = readonly Mapping[]

export function emitTemplate(program: Program, planning: Planning, handover: bigint): void {
  const { memory } = planning.root
  emitDescriptors(program, planning)
  const special = memory.mappings.filter(({ kind }) => kind === MappingKind.vvar || kind === MappingKind.vdso)
  program.for('vDSO', () =>
    moveVdso(program, program.load(handover, 8), special, planning.region.spare, () => emitClearing(program, planning)),
  )
  emitProtectionKeys(program, memory.protectionKeys)
  const mapped = memory.mappings.filter(({ kind }) => kind === MappingKind.anonymous || kind === MappingKind.filePrivate)
  const stagings = Staging.plan(memory, [planning.region])
  const inPlace = mapped.filter((mapping) => !stagings.some((staging) => staging.has(mapping)))
  emitMappings(program, planning, inPlace, memory)
  program.for('staging', () => stagings.forEach((staging) => staging.emitArea(program)))
  const staged = pagesOf(memory.pages, mapped).map((range) => stagings.reduce((range, staging) => staging.staged(range), range))
  emitContents(program, planning.pageFile, staged)
  program.for('staging', () => stagings.forEach((staging) => staging.emitMoves(program, memory)))
  emitProtections(program, mapped, memory)
  program.for('layout', () => emitLayout(program, memory))
  program.for('huge pages', () => {
    for (const { start, end } of denseRanges(mapped, memory.pages)) program.call('madvise', [start, end - start, MADV_COLLAPSE], 'any')
  })
  program.for('seals', () => {
    for (const mapping of mapped) emitSeal(program, mapping)
  })
  program.for('ready', () => program.call('write', [planning.report, program.bundle.words(0), 1], { equal: 1 }))
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

/** By way of the spare room: the final place may be taken by what is about to be unmapped, or by the vDSO itself. */
function moveVdso(program: Program, vdso: Cell, special: Special, spare: bigint, clear: () => void): void {
  const code = special.find(({ kind }) => kind === MappingKind.vdso)
  if (code === undefined) {
    clear()
    return
  }
  const places = special.map((mapping) => {
    const size = mapping.end - mapping.start
    const here = program.sum(vdso, mapping.start - code.start)
    const there = spare + (mapping.start - (special[0]?.start ?? 0n))
    program.call('mremap', [here, size, size, MREMAP_MAYMOVE_FIXED, there], { equal: there })
    return { there, size, final: mapping.start }
  })
  clear()
  for (const { there, size, final } of places) program.call('mremap', [there, size, size, MREMAP_MAYMOVE_FIXED, final], { equal: final })
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
    for (const batch of batches(pages)) {
      const vectors = program.bundle.words(...batch.flatMap(({ start, lengthBytes }) => [start, lengthBytes]))
      const total = batch.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0n)
      program.call('preadv', [pageFile, vectors, batch.length, batch[0]?.fileOffset ?? 0n, 0], { equal: total })
    }
  })
}

function emitProtections(program: Program, mapped: readonly Mapping[], memory: MemoryModel): void {
  program.for('protections', () => {
    for (const mapping of mapped)
      if (needsProtecting(mapping, memory.pages)) program.call('mprotect', [mapping.start, mapping.end - mapping.start, mapping.protection])
    for (const mapping of mapped) {
      emitProtectionKey(program, mapping)
      emitAdvice(program, mapping)
    }
    for (const { start, pageCount } of memory.guards) program.call('madvise', [start, pageCount * PAGE_BYTES, MADV_GUARD_INSTALL])
  })
}

/** struct prctl_mm_map (linux/prctl.h). The old executable is unmapped by now, else the kernel would refuse (EBUSY). */
function emitLayout(program: Program, { layout, auxv, executable }: MemoryModel): void {
  const { bundle } = program
  const exe = program.call('openat', [AT_FDCWD, bundle.string(executable.path), O_RDONLY_CLOEXEC, 0])
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
  program.call('close', [exe])
}
