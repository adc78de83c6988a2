/** The address space: what each mapping is, and how it is made again. Contents are core/checkpoint/pages.ts. */
import { UnsupportedError } from '../errors.js'
import type { FileIdentity, Mapping } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import type { MappingLine } from '../proc/maps.js'
import type { SeenProcess, SeenTree } from './description.js'
import { identifyDeleted } from './deleted-mapping.js'
import { identify } from './file-identity.js'
import { isOnOwnShm, refusedFile } from './memory-files.js'
import { isRingMemory } from './io-uring/mappings.js'
import type { Support } from './support.js'
import { isSegment } from './sysv-segment.js'

export const support: Support = {
  topic: 'memory',
  carried: 'private mappings, of files and anonymous, with advice, locks, seals, stacks that grow',
  conditions: [
    'A copy has one mapping more, named `/memfd:thaw-restorer`.',
    'Names of mappings without a file (PR_SET_VMA_ANON_NAME) take a kernel that has them, also where they are restored. Those of the heap and of the first stack are lost: Linux does not tell them.',
    'Java maps a file of counters, `/tmp/hsperfdata_USER/PID`, and removes it when it ends, so that a restore finds it gone: start it with `-XX:-UsePerfData`.',
  ],
  refused: {
    THAW_MAPPING:
      'hugetlb memory, userfaultfd, rings for asynchronous I/O, device memory, a vDSO with other protections, freed protection keys',
  },
}

const PROT_READ = 1
const PROT_WRITE = 2
const PROT_EXEC = 4

/** Mappings that are ours or the kernel's own in every process, and are not part of the state. */
const leftByRestorer = /^\/memfd:thaw-(restorer|parasite)/

/** VmFlags (Documentation/filesystems/proc.rst) that are made again, by one call or by the mapping itself. */
const carried = new Set(['gd', 'nr', 'lo', 'lf', 'sr', 'rr', 'dc', 'dd', 'wf', 'hg', 'nh', 'mg', 'dp', 'sl', 'ac', 'gu'])
/** Those that follow from protection, kind and file. */
const implied = new Set(['rd', 'wr', 'ex', 'sh', 'mr', 'mw', 'me', 'ms', 'de', 'sd', 'pf', 'io', 'mm', 'sf'])

export function collectMappings(process: SeenProcess, tree: SeenTree): Mapping[] {
  const lines = tree.mappingsOf(process)
  const kept = lines.filter(({ path }) => path !== '[vsyscall]' && !leftByRestorer.test(path))
  return kept.map((line) => collectMapping(process, tree, line))
}

function collectMapping(process: SeenProcess, tree: SeenTree, line: MappingLine): Mapping {
  const kind = kindOf(process, line)
  if (kind !== MappingKind.vvar && kind !== MappingKind.vdso && kind !== MappingKind.ioUring)
    for (const flag of line.flags) if (!carried.has(flag) && !implied.has(flag)) throw refused(process, line, `has the flag ${flag}`)
  // The template, which loads private mappings, does not see it.
  if (kind === MappingKind.filePrivate && isOnOwnShm(process.rootPath, line.path) && !line.path.endsWith(DELETED))
    throw refusedFile(process, line.path, 'is mapped privately')
  const file = kind === MappingKind.filePrivate || kind === MappingKind.fileShared ? fileOf(process, tree, line) : null
  return {
    start: line.start,
    end: line.end,
    protection: protectionOf(line.permissions),
    kind,
    offset: kind === MappingKind.filePrivate || kind === MappingKind.fileShared ? line.offset : 0n,
    file,
    flags: [...line.flags].filter((flag) => carried.has(flag) || (flag === 'mw' && (kind === MappingKind.fileShared || isSegment(line)))),
    name: nameOf(kind, line.path),
    protectionKey: line.protectionKey,
    sharedMemory: 0,
  }
}

function nameOf(kind: MappingKind, path: string): string {
  if (kind === MappingKind.vvar || kind === MappingKind.vdso) return path
  return /^\[anon(_shmem)?:/.test(path) ? path.slice(path.indexOf(':') + 1, -1) : ''
}

const DELETED = ' (deleted)'

function fileOf(process: SeenProcess, tree: SeenTree, line: MappingLine): FileIdentity {
  const path = line.path.endsWith(DELETED) ? line.path.slice(0, -DELETED.length) : line.path
  return (path === line.path ? identify(process, line, path) : undefined) ?? identifyDeleted(process, tree, line, path)
}

function kindOf(process: SeenProcess, line: MappingLine): MappingKind {
  const { path, permissions } = line
  const shared = permissions.endsWith('s')
  if (line.flags.has('uw') || line.flags.has('um') || line.flags.has('ui')) throw refused(process, line, 'is watched by a userfaultfd')
  if (line.flags.has('ht')) throw refused(process, line, 'is hugetlb memory')
  if (line.flags.has('io') && !path.startsWith('[v') && !isRingMemory(line)) throw refused(process, line, 'is device memory')
  if (isRingMemory(line)) return MappingKind.ioUring
  if (path === '[anon:]' || path === '[anon_shmem:]') throw refused(process, line, 'has an empty name (PR_SET_VMA_ANON_NAME)')
  if (path === '[vdso]' || path.startsWith('[vvar')) return kindOfVdso(process, line)
  if (path === '/dev/zero (deleted)' || path.startsWith('[anon_shmem:') || isSegment(line)) return MappingKind.anonymousShared
  if (path === '' || path === '[heap]' || path === '[stack]' || path.startsWith('[anon:')) return MappingKind.anonymous
  if (path.startsWith('/[aio]')) throw refused(process, line, 'is a ring for asynchronous I/O (io_setup)')
  if (path.startsWith('anon_inode:') || path.startsWith('/anon_hugepage') || (path.startsWith('/dev/') && !path.startsWith('/dev/shm/')))
    throw refused(process, line, `belongs to ${path}`)
  if (path.startsWith('[')) throw refused(process, line, `is ${path}`)
  return shared ? MappingKind.fileShared : MappingKind.filePrivate
}

/** It is moved, not mapped anew. */
function kindOfVdso(process: SeenProcess, line: MappingLine): MappingKind {
  const isCode = line.path === '[vdso]'
  if (line.permissions !== (isCode ? 'r-xp' : 'r--p')) throw refused(process, line, `is ${line.path} with another protection than it had`)
  return isCode ? MappingKind.vdso : MappingKind.vvar
}

function refused(process: SeenProcess, line: MappingLine, what: string): UnsupportedError {
  return new UnsupportedError(
    'THAW_MAPPING',
    `Cannot checkpoint pid ${process.pid} (${process.name}): the mapping at 0x${line.start.toString(16)}-0x${line.end.toString(16)} ${what}, which is not carried. Release it before the checkpoint.`,
    { pid: process.pid },
  )
}

function protectionOf(permissions: string): number {
  return (permissions[0] === 'r' ? PROT_READ : 0) | (permissions[1] === 'w' ? PROT_WRITE : 0) | (permissions[2] === 'x' ? PROT_EXEC : 0)
}
