/**
 * Locks on files (fcntl_locking(2), flock(2), F_SETLEASE in fcntl(2)), which fdinfo lists with the description they were taken through.
 * POSIX locks belong to a process and an inode, the others to the description.
 */
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import type { SeenDescription } from './description.js'
import { refusal } from './refusal.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'descriptors',
  carried: 'file locks and leases',
  conditions: ['Which process took a lock by flock(2) is the first of the tree in /proc/locks.'],
  refused: { THAW_FILE_LOCK: 'leases that are being broken, and leases on files without a name' },
}

export type LockType = 'POSIX' | 'OFDLCK' | 'FLOCK' | 'LEASE'

export interface FileLock {
  type: LockType
  exclusive: boolean
  start: bigint
  /** 0: to the end of the file, however long it becomes. */
  length: bigint
}

const F_SETLK = 6
const F_OFD_SETLK = 37
const F_SETLEASE = 1024
const F_RDLCK = 0
const F_WRLCK = 1
const LOCK_SH = 1
const LOCK_EX = 2
const LOCK_NB = 4

const lockLine = /^lock:\s+\d+:\s+(\S+)\s+(\S+)\s+(\S+)\s+\S+\s+\S+\s+(\d+)\s+(\d+|EOF)/

export function collectLocks(seen: SeenDescription): FileLock[] {
  return seen.info.lines.filter((line) => line.startsWith('lock:')).map((line) => collectLock(seen, line))
}

function collectLock(seen: SeenDescription, line: string): FileLock {
  const [, type, state, access, start, end] = lockLine.exec(line) ?? []
  const known = type === 'POSIX' || type === 'OFDLCK' || type === 'FLOCK' || type === 'LEASE'
  if (!known || start === undefined || state === 'BREAKING' || (access !== 'READ' && access !== 'WRITE'))
    throw refusal(seen, 'THAW_FILE_LOCK', `holds a lock on ${seen.link} that is not carried (${line})`, 'Release it in the warm-up.')
  const length = end === undefined || end === 'EOF' ? 0n : BigInt(end) - BigInt(start) + 1n
  return { type, exclusive: access === 'WRITE', start: BigInt(start), length }
}

/** Locks that belong to the description. None waits: who else holds one is in the way of the restore, which then says so. */
export function emitDescriptionLocks(program: Program, fd: Cell, locks: readonly FileLock[]): void {
  for (const lock of locks) {
    if (lock.type === 'FLOCK') program.for('flock', () => program.call('flock', [fd, (lock.exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB]))
    if (lock.type === 'OFDLCK') program.for('OFD lock', () => program.call('fcntl', [fd, F_OFD_SETLK, program.bundle.bytes(flock(lock))]))
  }
}

export const belongsToProcess = ({ type }: FileLock): boolean => type === 'POSIX' || type === 'LEASE'

/** Locks that belong to the process, and leases, whose signals go to whoever took them. */
export function emitProcessLocks(program: Program, fd: number, locks: readonly FileLock[]): void {
  for (const lock of locks) {
    if (lock.type === 'POSIX') program.for('POSIX lock', () => program.call('fcntl', [fd, F_SETLK, program.bundle.bytes(flock(lock))]))
    if (lock.type === 'LEASE') program.for('lease', () => program.call('fcntl', [fd, F_SETLEASE, lock.exclusive ? F_WRLCK : F_RDLCK]))
  }
}

/** struct flock with l_whence SEEK_SET and l_pid 0, which OFD locks demand. */
function flock({ exclusive, start, length }: FileLock): Uint8Array {
  const bytes = new Uint8Array(32)
  const view = new DataView(bytes.buffer)
  view.setInt16(0, exclusive ? F_WRLCK : F_RDLCK, true)
  view.setBigInt64(8, start, true)
  view.setBigInt64(16, length, true)
  return bytes
}
