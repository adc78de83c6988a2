/** Making one mapping again: protection, kind, advice. */
import { isWiped, PAGE_BYTES } from '../checkpoint/pages.js'
import type { Mapping, MemoryModel, PageRange } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'

const PROT_READ_WRITE = 3
const PROT_WRITE = 2
const MAP_SHARED = 0x01
const MAP_PRIVATE = 0x02
const MAP_ANONYMOUS = 0x20
const MAP_DROPPABLE = 0x08
const MAP_GROWSDOWN = 0x100
const MAP_NORESERVE = 0x4000
const MAP_FIXED_NOREPLACE = 0x100000

/** madvise(2) values by the VmFlags letters that they leave, for those that survive a fork as they are. */
const advice: Readonly<Record<string, number>> = { rr: 1, sr: 2, mg: 12, hg: 14, nh: 15, dd: 16, wf: 18 }
const MADV_DONTFORK = 10
const MADV_GUARD_INSTALL = 102
const MADV_GUARD_REMOVE = 103
const MLOCK_ONFAULT = 1
const ENOMEM = 12
const MADV_DONTNEED = 4
/** Since Linux 5.14. */
const MADV_POPULATE_WRITE = 23
const PR_SET_VMA = 0x53564d41
const PR_SET_VMA_ANON_NAME = 0

/**
 * Whether the mapping must be writable while it is filled, and gets its own protection afterwards. One that was writable once is accounted for
 * (VM_ACCOUNT) ever after, with pages of its own or without.
 */
export function needsProtecting(mapping: Mapping, pages: readonly PageRange[]): boolean {
  if ((mapping.protection & PROT_READ_WRITE) === PROT_READ_WRITE) return false
  return mapping.flags.includes('ac') || pagesOf(pages, [mapping]).length > 0
}

/** The protection of its own, once it is filled. A mapping without pages stays accounted for only where it has had one. */
export function emitProtection(program: Program, mapping: Mapping, pages: readonly PageRange[]): void {
  const { start, end, kind, flags, protection } = mapping
  if (!needsProtecting(mapping, pages)) return
  if (kind === MappingKind.anonymous && flags.includes('ac') && pagesOf(pages, [mapping]).length === 0) emitTouch(program, mapping)
  program.call('mprotect', [start, end - start, protection])
}

/** A mapping without pages is as if it had had one. */
export function emitTouch(program: Program, { start }: Mapping): void {
  for (const doing of [MADV_POPULATE_WRITE, MADV_DONTNEED]) program.call('madvise', [start, PAGE_BYTES, doing])
}

/** The ranges that lie in these mappings. */
export function pagesOf(pages: readonly PageRange[], mappings: readonly Mapping[]): PageRange[] {
  return pages.filter(({ start }) => mappings.some((mapping) => mapping.start <= start && start < mapping.end))
}

/** @param file open descriptor of the mapping's file, if it has one */
export function emitMapping(program: Program, mapping: Mapping, writable: boolean, file: Cell | undefined): void {
  const protection = writable ? mapping.protection | PROT_READ_WRITE : mapping.protection
  const length = mapping.end - mapping.start
  program.call('mmap', [mapping.start, length, protection, mmapFlags(mapping), file ?? -1, mapping.offset], { equal: mapping.start })
  emitName(program, mapping)
  emitGuarded(program, mapping)
}

/**
 * Of memory without a file: since Linux 5.17, of shared memory since 6.2, where the kernel was built with it (CONFIG_ANON_VMA_NAME). As soon as it is
 * mapped: neighbours with other names are not joined.
 */
export function emitName(program: Program, { start, end, kind, name }: Mapping): void {
  if (name === '' || (kind !== MappingKind.anonymous && kind !== MappingKind.anonymousShared)) return
  program.for(`name of 0x${start.toString(16)}-0x${end.toString(16)}`, () =>
    program.call('prctl', [PR_SET_VMA, PR_SET_VMA_ANON_NAME, start, end - start, program.bundle.string(name)]),
  )
}

/** A mapping that had a guard once is known by that ever after (VM_MAYBE_GUARD), and is not joined with neighbours that had none. While it is empty. */
export function emitGuarded(program: Program, { start, flags }: Mapping): void {
  if (!flags.includes('gu')) return
  for (const doing of [MADV_GUARD_INSTALL, MADV_GUARD_REMOVE]) program.call('madvise', [start, PAGE_BYTES, doing])
}

export function mmapFlags({ kind, flags }: Mapping): number {
  const shared = kind === MappingKind.fileShared || kind === MappingKind.anonymousShared
  const type = flags.includes('dp') ? MAP_DROPPABLE : shared ? MAP_SHARED : MAP_PRIVATE
  const anonymous = kind === MappingKind.anonymous || kind === MappingKind.anonymousShared ? MAP_ANONYMOUS : 0
  const grows = flags.includes('gd') ? MAP_GROWSDOWN : 0
  const reserve = flags.includes('nr') ? MAP_NORESERVE : 0
  return type | anonymous | grows | reserve | MAP_FIXED_NOREPLACE
}

/** What the template can set once for all instances. A droppable mapping has its flags from mmap. */
export function emitAdvice(program: Program, { start, end, flags }: Mapping): void {
  if (flags.includes('dp')) return
  for (const flag of flags) {
    const value = advice[flag]
    if (value !== undefined) program.call('madvise', [start, end - start, value])
  }
}

/** mseal(2), since Linux 6.10: last, as nothing can be changed afterwards. */
export function emitSeal(program: Program, { start, end, flags }: Mapping): void {
  if (flags.includes('sl')) program.call('mseal', [start, end - start, 0])
}

/** What stands in these mappings of guards. Not in locked memory: before it is locked. */
export function emitGuards(program: Program, { guards }: Pick<MemoryModel, 'guards'>, mappings: readonly Mapping[]): void {
  for (const { start, pageCount } of pagesOf(guards, mappings)) program.call('madvise', [start, pageCount * PAGE_BYTES, MADV_GUARD_INSTALL])
}

/** What a fork would lose (locks, guards of what it wipes) or lose the mapping by (DONTFORK): set by the instance. */
export function emitInstanceAdvice(program: Program, memory: Pick<MemoryModel, 'guards'>, mapping: Mapping): void {
  const { start, end, flags } = mapping
  if (isWiped(mapping)) emitGuards(program, memory, [mapping])
  if (flags.includes('dc') && !flags.includes('io')) program.call('madvise', [start, end - start, MADV_DONTFORK])
  if (flags.includes('lo')) emitLock(program, mapping)
}

/**
 * What cannot be filled is locked all the same: memory without access, or with guards, and what is behind the end of a file. mlock tells of that (ENOMEM)
 * once it is done, in the word that it has for a limit, too (RLIMIT_MEMLOCK); to lock on fault fills nothing, so that only the limit fails it.
 */
function emitLock(program: Program, { start, end, flags }: Mapping): void {
  program.call('mlock2', [start, end - start, MLOCK_ONFAULT])
  if (!flags.includes('lf')) program.call('mlock2', [start, end - start, 0], { orErrno: ENOMEM })
}

export const writableMapping = ({ protection, flags }: Mapping): boolean => (protection & PROT_WRITE) !== 0 || flags.includes('mw')
