/**
 * Locks on files (fcntl_locking(2), flock(2), F_SETLEASE in fcntl(2)), which fdinfo lists with the description they were taken through.
 * POSIX locks belong to a process and an inode, the others to the description.
 */
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import type { ImageModel } from '../image/model.js'
import type { FdInfo } from '../proc/fdinfo.js'
import type { SeenDescription, SeenTree } from './description.js'
import type { Exclusion } from './exclusion.js'
import { refusal } from './refusal.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'descriptors',
  carried: 'file locks and leases',
  conditions: ['A lock by flock(2) or a lease whose taker has ended is, in /proc/locks, of the first process that has the file open.'],
  refused: {
    THAW_FILE_LOCK:
      'leases that are being broken, leases on files without a name, and locks on what is neither file nor folder, or a process in /proc',
  },
}

export type LockType = 'POSIX' | 'OFDLCK' | 'FLOCK' | 'LEASE'

export interface FileLock {
  type: LockType
  exclusive: boolean
  start: bigint
  /** 0: to the end of the file, however long it becomes. */
  length: bigint
  /** Of the process that took it; 0 for one outside the tree. Of OFD locks nobody is known. */
  pid: number
}

const F_SETLK = 6
const F_OFD_SETLK = 37
const F_SETLEASE = 1024
const F_RDLCK = 0
const F_WRLCK = 1
const LOCK_SH = 1
const LOCK_EX = 2
const LOCK_NB = 4

const lockLine = /^lock:\s+\d+:\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+\S+\s+(\d+)\s+(\d+|EOF)/

/** Through all of its descriptors: each process is told its own POSIX locks. */
export function collectLocks(seen: SeenDescription, tree: SeenTree): FileLock[] {
  const holders = tree.holdersOf(seen)
  const locks = locksIn(seen.info).map((line) => collectLock(seen, line, tree))
  const own = holders
    .filter(({ process }, i) => process !== seen.process && holders.findIndex((other) => other.process === process) === i)
    .flatMap(({ info }) => locksIn(info).map((line) => collectLock(seen, line, tree)))
  return [...locks, ...own.filter(({ type }) => type === 'POSIX')]
}

const locksIn = ({ lines }: FdInfo): string[] => lines.filter((line) => line.startsWith('lock:'))

function collectLock(seen: SeenDescription, line: string, { processes }: SeenTree): FileLock {
  const [, type, state, access, taker, start, end] = lockLine.exec(line) ?? []
  const known = type === 'POSIX' || type === 'OFDLCK' || type === 'FLOCK' || type === 'LEASE'
  if (!known || start === undefined || state === 'BREAKING' || (access !== 'READ' && access !== 'WRITE'))
    throw refusal(seen, 'THAW_FILE_LOCK', `holds a lock on ${seen.link} that is not carried (${line})`, 'Release it in the warm-up.')
  const length = end === undefined || end === 'EOF' ? 0n : BigInt(end) - BigInt(start) + 1n
  const pid = processes.find((process) => process.pid === Number(taker))?.innerPid ?? 0
  return { type, exclusive: access === 'WRITE', start: BigInt(start), length, pid }
}

export const belongsToProcess = ({ type }: FileLock): boolean => type === 'POSIX' || type === 'LEASE'

/** Each is of a type that can be taken, by a process that is there. */
export function verifyLocks(
  locks: readonly FileLock[],
  { processes }: ImageModel,
  require: (fits: boolean, otherwise: string) => void,
): void {
  for (const { type, start, length, pid } of locks) {
    require(Object.hasOwn(names, type), `has a lock of the unknown type '${type}'`)
    require(start >= 0n && length >= 0n, `has a lock from ${start} for ${length} bytes`)
    require(pid === 0 || processes.some((process) => process.pid === pid), `has a lock of process ${pid}, which is not there`)
  }
}

/** A lease for writing is broken by whoever opens the file, which an instance that stands by has. */
export function exclusionOfLocks(locks: readonly FileLock[]): Exclusion {
  const exclusive = locks.filter((lock) => lock.exclusive)
  if (exclusive.some(({ type }) => type === 'LEASE')) return 'existing'
  return exclusive.length > 0 ? 'running' : 'none'
}

/**
 * Taken by whoever had them. None waits: who else holds one is in the way of the restore, which then says so. Behind the gate, so that an
 * instance which stands by is in nobody's way.
 */
export function emitLocks(program: Program, fd: Cell | number, locks: readonly FileLock[], path: string): void {
  const { bundle } = program
  for (const lock of locks)
    program.for(`${names[lock.type]} on ${path}`, () => {
      if (lock.type === 'FLOCK') program.call('flock', [fd, (lock.exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB])
      else if (lock.type === 'LEASE') program.call('fcntl', [fd, F_SETLEASE, lock.exclusive ? F_WRLCK : F_RDLCK])
      else program.call('fcntl', [fd, lock.type === 'POSIX' ? F_SETLK : F_OFD_SETLK, bundle.bytes(flock(lock))])
    })
}

const names: Readonly<Record<LockType, string>> = { POSIX: 'POSIX lock', OFDLCK: 'OFD lock', FLOCK: 'flock', LEASE: 'lease' }

/** struct flock with l_whence SEEK_SET and l_pid 0, which OFD locks demand. */
function flock({ exclusive, start, length }: FileLock): Uint8Array {
  const bytes = new Uint8Array(32)
  const view = new DataView(bytes.buffer)
  view.setInt16(0, exclusive ? F_WRLCK : F_RDLCK, true)
  view.setBigInt64(8, start, true)
  view.setBigInt64(16, length, true)
  return bytes
}
