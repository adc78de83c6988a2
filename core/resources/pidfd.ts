/**
 * pidfds (pidfd_open(2)), of processes, threads and zombies of the tree, and of processes that were reaped: for such a one, a process ends
 * in the same way, of which nothing is left but the pidfd.
 */
import { native } from '../../native/index.js'
import { fdInfoField } from '../proc/fdinfo.js'
import { field, innermost, readStatus } from '../proc/status.js'
import type { Status } from '../proc/status.js'
import type { Cell } from '../program/bundle.js'
import { defineKind } from './description.js'
import type { DescriptionKind, Emitter, SeenDescription, SeenTree } from './description.js'
import { emitEnding, hasDumpedCore, isEnding } from './ending.js'
import { closeDescriptor, reopen } from './emission.js'
import { O_ACCMODE, O_EXCL, O_LARGEFILE, O_PATH, O_RDWR } from './open-flags.js'
import { tasksOf } from './proc-file.js'
import { refusal } from './refusal.js'

export interface PidFd {
  /** 0: the process was reaped. */
  pid: number
  /** A thread beside the first of its process. */
  thread: boolean
  /** Of one that was reaped, as wait(2) had it. */
  status: number
  /** Of one that was reaped: its number in pidfs, by which pidfds of the same process are known. */
  process: bigint
}

/** PIDFD_THREAD, since Linux 6.9. */
const THREAD = O_EXCL
/** PIDFD_GET_INFO with PIDFD_INFO_EXIT, since Linux 6.15: _IOWR(0xFF, 11, struct pidfd_info) of 64 bytes. */
const GET_INFO = 0xc040_ff0b
const INFO_BYTES = 64
const INFO_EXIT = 8n
const EXIT_CODE_AT = 60
const REAPED_WITHIN_MS = 100
const WALL = 0x4000_0000

export const pidFd: DescriptionKind<unknown> = defineKind<PidFd>({
  name: 'pidfd',
  support: {
    topic: 'descriptors',
    carried: 'pidfds, also of what has ended',
    conditions: [
      'Pidfds have new inode numbers; those of one process still have the same. A process that is gone counts as one of the pid namespace of the tree.',
    ],
    refused: {
      THAW_PIDFD_OUTSIDE: 'pidfds of processes outside the tree',
      THAW_PIDFD_CORE: 'pidfds of reaped processes that had dumped core',
      THAW_PIDFD_MARKED: 'pidfds with locks or extended attributes',
    },
  },

  recognises: ({ link, info }) => /^(anon_inode:\[pidfd\]$|pidfd:)/.test(link) && (info.flags & O_PATH) === 0,

  collect(seen, tree) {
    refuseMarked(seen)
    const pid = Number(fdInfoField(seen.info.lines, 'Pid') ?? 0)
    const status = pid < 0 ? undefined : statusInTree(seen, pid, tree)
    if (status === undefined) return { pid: 0, thread: false, status: endOf(seen), process: seen.status.inode }
    const inner = innermost(status, 'NSpid')
    return { pid: inner, thread: inner !== innermost(status, 'NStgid'), status: 0, process: 0n }
  },

  verify({ pid, status }, image, require) {
    require(pid === 0 || tasksOf(image).has(pid), `leads to process ${pid}, which is not there`)
    require(pid !== 0 || isEnding(status), `leads to a process that cannot have ended with status 0x${status.toString(16)}`)
  },

  leadsTo: ({ pid, thread }) => (pid === 0 ? undefined : thread ? 'threads' : 'processes'),

  open({ pid, status, process }, emitter, flags) {
    if (pid !== 0) return openPid(emitter, pid, flags)
    return openPid(emitter, endedFor(emitter, process, status).pid, flags)
  },

  /** When all descriptors of it are there. */
  connect({ pid, status, process }, emitter) {
    if (pid !== 0) return
    const ended = endedFor(emitter, process, status)
    if (!ended.reaped) emitter.program.call('wait4', [ended.pid, 0, WALL, 0])
    ended.reaped = true
  },
})

/** What neither of a pidfd nor of the process behind it is known otherwise. */
function refuseMarked(seen: SeenDescription): void {
  const isLocked = seen.info.lines.some((line) => line.startsWith('lock:'))
  if (!isLocked && !hasAttributes(seen.duplicate())) return
  const what = isLocked ? 'is locked (flock)' : 'has extended attributes'
  throw refusal(seen, 'THAW_PIDFD_MARKED', `is a pidfd that ${what}, which is not carried`, 'Remove that in the warm-up.')
}

/** Since Linux 6.17. */
function hasAttributes(fd: number): boolean {
  try {
    return native.syscall('flistxattr', [fd, 0, 0]) > 0n
  } catch {
    return false
  }
}

/** Undefined for one that is gone, or goes while it is looked at. */
function statusInTree(seen: SeenDescription, pid: number, tree: SeenTree): Status | undefined {
  const status = statusOf(pid)
  if (status !== undefined && isBelow(status, tree)) return status
  // An orphan that has ended is about to be reaped by who adopted it.
  if (pid !== 0 && (native.poll(seen.duplicate(), 0, REAPED_WITHIN_MS) !== 0 || statusOf(pid) === undefined)) return undefined
  const who = status === undefined ? 'a process of another pid namespace' : `pid ${pid} (${field(status, 'Name')})`
  throw refusal(
    seen,
    'THAW_PIDFD_OUTSIDE',
    `is a pidfd of ${who}, outside the tree`,
    'Close it in the warm-up, or start that process inside the fixture.',
  )
}

/** Threads can be looked up like processes. */
function statusOf(pid: number): Status | undefined {
  try {
    return readStatus(pid)
  } catch {
    return undefined
  }
}

/** Whether it is of the tree, or somebody's child there: a zombie, or new in a tree that runs. */
function isBelow(status: Status, tree: SeenTree): boolean {
  const isProcess = (pid: string): boolean => tree.processes.some((process) => process.pid === Number(pid))
  for (let at: Status | undefined = status; at !== undefined; at = statusOf(Number(field(at, 'PPid'))))
    if (isProcess(field(at, 'Tgid')) || isProcess(field(at, 'PPid'))) return true
  return false
}

/** How a reaped process had ended, where the kernel still knows. */
function endOf(seen: SeenDescription): number {
  const info = new Uint8Array(INFO_BYTES)
  const view = new DataView(info.buffer)
  view.setBigUint64(0, INFO_EXIT, true)
  try {
    native.ioctl(seen.duplicate(), GET_INFO, info)
  } catch {
    return 0
  }
  if ((view.getBigUint64(0, true) & INFO_EXIT) === 0n) return 0
  const status = view.getInt32(EXIT_CODE_AT, true)
  if (!hasDumpedCore(status)) return status
  throw refusal(
    seen,
    'THAW_PIDFD_CORE',
    'is a pidfd of a process that had dumped core and was reaped, which is not carried',
    'Close it in the warm-up.',
  )
}

interface Ended {
  readonly pid: Cell
  reaped: boolean
}

const endedFor = (emitter: Emitter, process: bigint, status: number): Ended =>
  emitter.shared('ended process', process, () => ({ pid: emitter.passing((passing) => emitEnding(passing, status)), reaped: false }))

/** One that was opened anew, through /proc (since Linux 6.17), shows it by its flags. */
function openPid(emitter: Emitter, pid: Cell | number, flags: number): Cell {
  const fd = emitter.raise(emitter.program.call('pidfd_open', [pid, flags & THREAD]))
  if ((flags & (O_LARGEFILE | O_ACCMODE)) === O_RDWR) return fd
  const again = reopen(emitter, fd, flags)
  closeDescriptor(emitter.program, fd)
  return again
}
