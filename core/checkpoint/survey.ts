/** Looking at a tree before it is frozen: whether it can be carried, and if not, why not. Nothing is changed here. */
import { closeSync, existsSync, openSync, readSync, readdirSync } from 'node:fs'
import { native } from '../../native/index.js'
import { CheckpointError, ThawError, UnsupportedError } from '../errors.js'
import { reachableRoot } from '../proc/root.js'
import { field, innermost, readStat, readStatus } from '../proc/status.js'
import type { Status } from '../proc/status.js'
import type { SeenProcess } from '../resources/description.js'
import { refuseUnmoved } from '../resources/job-control.js'
import { whyNotSeccomp } from '../resources/seccomp/access.js'
import { refuseNamespaces, refuseUnsharedThreads } from './survey-namespaces.js'
import { refuseThreadTraits } from './survey-threads.js'
import type { Support } from '../resources/support.js'

export const support: Support = {
  topic: 'task',
  refused: {
    THAW_TRACED: 'traced tasks',
    THAW_NO_PTRACE: 'tasks of other users',
    THAW_ZOMBIE: 'processes whose first thread has ended',
    THAW_32_BIT: '32-bit programs',
    THAW_KERNEL_THREAD: 'threads of the kernel',
    THAW_NAMESPACE_INIT: 'the init of a pid namespace',
    THAW_EXIT_SIGNAL: 'children whose end is told by another signal than SIGCHLD, or by none',
    THAW_NO_GADGETS: 'programs without the code of a libc',
    THAW_THREAD_NAMESPACE: 'threads with namespaces of their own',
    THAW_THREAD_FILES: 'threads with a descriptor table of their own',
    THAW_THREAD_FS: 'threads with a working directory of their own',
    THAW_ANCESTOR: 'the dumper itself and its ancestors',
  },
}

const PF_KTHREAD = 0x0020_0000
const STAT_FLAGS = 9 - 3
const STAT_EXIT_SIGNAL = 38 - 3
const SIGCHLD = 17
const ELFCLASS64 = 2

/**
 * @param parentPid 0 for a root of the tree
 * @throws UnsupportedError, CheckpointError
 */
export function surveyProcess(pid: number, parentPid: number): SeenProcess {
  try {
    return look(pid, parentPid)
  } catch (error) {
    // A process that ends while it is looked at makes all kinds of errors.
    if (error instanceof ThawError || existsSync(`/proc/${pid}/exe`)) throw error
    throw noProcess(pid, error)
  }
}

const noProcess = (pid: number, cause: unknown): CheckpointError =>
  new CheckpointError('THAW_NO_PROCESS', `Cannot checkpoint pid ${pid}: there is no such process.`, { pid, cause })

function look(pid: number, parentPid: number): SeenProcess {
  const status = statusOf(pid)
  const name = field(status, 'Name')
  const refuse = (code: string, why: string): never => {
    throw new UnsupportedError(code, `Cannot checkpoint pid ${pid} (${name}): ${why}`, { pid })
  }
  refuseRelatives(pid, refuse)
  if ((Number(readStat(pid)[STAT_FLAGS]) & PF_KTHREAD) !== 0) refuse('THAW_KERNEL_THREAD', 'it is a thread of the kernel.')
  refuseStates(pid, status, refuse)
  // Whoever a root's parent is, the copy's is another.
  if (parentPid !== 0) refuseExitSignal(pid, name)
  refuseUntraceable(pid, refuse)
  refuse32Bit(pid, refuse)
  refuseNamespaces(pid, refuse)
  refuseUnsharedThreads(pid, refuse)
  refuseThreadTraits(pid, refuse)
  const innerPid = innermost(status, 'NSpid')
  if (innerPid === 1) refuse('THAW_NAMESPACE_INIT', 'it is the init of its pid namespace. Checkpoint the process that it runs instead.')
  const rootPath = reachableRoot(pid)
  if (rootPath === undefined)
    refuse('THAW_ROOT', 'it has a root folder of its own (chroot) in another mount namespace. Run thaw in the same mount namespace.')
  return { pid, innerPid, name, rootPath: rootPath ?? '', pidfd: native.pidfdOpen(pid), parentPid }
}

type Refuse = (code: string, why: string) => never

function statusOf(pid: number): Status {
  try {
    return readStatus(pid)
  } catch (cause) {
    throw noProcess(pid, cause)
  }
}

function refuseRelatives(pid: number, refuse: Refuse): void {
  for (let relative = process.pid; relative > 0; relative = Number(field(readStatus(relative), 'PPid')))
    if (relative === pid)
      refuse(
        'THAW_ANCESTOR',
        relative === process.pid ? 'that is the dumper itself.' : 'it is an ancestor of the dumper. Run thaw from another shell.',
      )
}

function refuseStates(pid: number, status: Status, refuse: Refuse): void {
  const state = field(status, 'State')
  if (state.startsWith('Z'))
    refuse(
      'THAW_ZOMBIE',
      otherThreads(pid)
        ? 'its main thread has ended while others go on, which is not carried.'
        : 'it has already ended and waits to be reaped.',
    )
  const tracer = field(status, 'TracerPid')
  if (tracer !== '0') refuse('THAW_TRACED', `pid ${tracer} traces it already (a debugger, strace). Detach that first.`)
  if (state.startsWith('T')) refuseUnmoved(pid)
  const filtered = whyNotSeccomp(pid)
  if (filtered !== undefined) refuse('THAW_SECCOMP', filtered)
}

/** Of a child of the tree, zombie or not. @throws UnsupportedError THAW_EXIT_SIGNAL */
export function refuseExitSignal(pid: number, name: string): void {
  const signal = Number(readStat(pid)[STAT_EXIT_SIGNAL])
  // -1 is of a thread that has taken the leader's place just now.
  if (signal === SIGCHLD || signal < 0) return
  throw new UnsupportedError(
    'THAW_EXIT_SIGNAL',
    `Cannot checkpoint pid ${pid} (${name}): its parent is told of its end by ${signal === 0 ? 'no signal' : `signal ${signal}`}, not by SIGCHLD, which is not carried. Start it by fork, or by clone with SIGCHLD.`,
    { pid },
  )
}

const otherThreads = (pid: number): boolean => readdirSync(`/proc/${pid}/task`).length > 1

/** Who may open the memory may trace (PTRACE_MODE_ATTACH): anybody else is told so here, before anything was tried. */
function refuseUntraceable(pid: number, refuse: Refuse): void {
  try {
    closeSync(openSync(`/proc/${pid}/mem`, 'r+'))
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code !== 'EACCES' && code !== 'EPERM') throw cause
    refuse(
      'THAW_NO_PTRACE',
      `this user may not trace it (${code}). Run as the user that owns the process, or as root; see sysctl kernel.yama.ptrace_scope.`,
    )
  }
}

function refuse32Bit(pid: number, refuse: Refuse): void {
  if (firstBytes(`/proc/${pid}/exe`, 5)[4] !== ELFCLASS64) refuse('THAW_32_BIT', 'it is a 32-bit program.')
}

function firstBytes(path: string, length: number): Buffer {
  const fd = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(length)
    readSync(fd, bytes, 0, length, 0)
    return bytes
  } finally {
    closeSync(fd)
  }
}
