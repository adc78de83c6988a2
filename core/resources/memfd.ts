/** memfd_create(2): a file in memory that has a name only in /proc, and seals (F_ADD_SEALS in fcntl(2)). */
import { closeSync, statfsSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import type { SeenDescription } from './description.js'
import { O_CLOEXEC, O_PATH, O_RDONLY } from './open-flags.js'
import { refusal } from './refusal.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'descriptors',
  carried: 'memfds with their seals',
  refused: { THAW_HUGETLB: 'memfds in huge pages of a pool' },
}

export interface Memfd {
  name: string
  /** F_SEAL_*. */
  seals: number
}

const link = /^\/memfd:(.*) \(deleted\)$/s
const TMPFS_MAGIC = 0x0102_1994
const MFD_CLOEXEC = 1
const MFD_ALLOW_SEALING = 2
/** Since Linux 6.3; with F_SEAL_EXEC. */
const MFD_NOEXEC_SEAL = 8
const MFD_EXEC = 0x10
const F_SEAL_EXEC = 0x20
const F_ADD_SEALS = 1033
const F_GET_SEALS = 1034
const EXECUTABLE = 0o111

/** The name of a memfd, by its path without ` (deleted)` behind it. */
export const memfdName = (path: string): string | undefined => /^\/memfd:(.*)$/s.exec(path)?.[1]

/** Of one that is mapped. @param source in /proc, which leads to it */
export const mappedMemfd = (name: string, source: string): Memfd => ({ name, seals: sealsBy(source) })

export const isMemfd = (seen: SeenDescription): boolean => link.test(seen.link) && seen.status.links === 0

/** @throws UnsupportedError THAW_HUGETLB for one in huge pages of a pool */
export function collectMemfd(seen: SeenDescription): Memfd {
  const path = `/proc/${seen.process.pid}/fd/${seen.fd}`
  if (statfsSync(path).type !== TMPFS_MAGIC)
    throw refusal(
      seen,
      'THAW_HUGETLB',
      `is ${seen.link}, a memfd in hugetlb memory, which is not carried`,
      'Create it without MFD_HUGETLB.',
    )
  return { name: link.exec(seen.link)?.[1] ?? '', seals: sealsOf(seen, path) }
}

function sealsOf(seen: SeenDescription, path: string): number {
  return (seen.info.flags & O_PATH) === 0 ? native.fcntl(seen.duplicate(), F_GET_SEALS) : sealsBy(path)
}

function sealsBy(path: string): number {
  const fd = native.open(path, O_RDONLY | O_CLOEXEC)
  try {
    return native.fcntl(fd, F_GET_SEALS)
  } finally {
    closeSync(fd)
  }
}

/** Empty, open for reading and writing, and without the seals but for the one that it cannot be made executable. */
export function emitMemfd(program: Program, { name, seals }: Memfd, mode: number): Cell {
  const born = (seals & F_SEAL_EXEC) !== 0 && (mode & EXECUTABLE) === 0 ? MFD_NOEXEC_SEAL : MFD_EXEC
  return emitNamed(program, name, MFD_ALLOW_SEALING | born)
}

/** For private mappings, which neither seals nor modes matter to. */
export const emitPrivateMemfd = (program: Program, name: string): Cell => emitNamed(program, name, MFD_EXEC)

function emitNamed(program: Program, name: string, flags: number): Cell {
  return program.call('memfd_create', [program.bundle.string(name), MFD_CLOEXEC | flags])
}

/** Once it has its content and is mapped wherever it is to be. @param fd open for writing */
export function emitSeals(program: Program, fd: Cell, { seals }: Memfd): void {
  if (seals !== 0) program.call('fcntl', [fd, F_ADD_SEALS, seals])
}
