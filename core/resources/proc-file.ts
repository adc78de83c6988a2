/**
 * Files of /proc that tell of a task of the tree, or are open for one: `/proc/7/stat`, `/proc/7/task/9/stat`. They can be opened again when
 * that task is there.
 */
import { closeSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { ImageModel } from '../image/model.js'
import { field, innermost, readStatusAt } from '../proc/status.js'
import type { Status } from '../proc/status.js'
import type { SeenDescription, SeenTree } from './description.js'
import { O_CLOEXEC } from './open-flags.js'
import { refusal } from './refusal.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'descriptors',
  carried: 'files of processes of the tree in /proc',
  conditions: ['Files of /proc that were read in part go on at the same place of what they tell of the copy.'],
  refused: {
    THAW_PROC_OUTSIDE: 'files of /proc of a process outside the tree, or of one that is gone',
    THAW_PROC_DESCRIPTOR: 'files of /proc of a descriptor that leads to a process itself',
  },
}

export interface ProcFile {
  readonly path: string
  /** 0: of no task. */
  readonly task: number
  /** A thread beside the first of its process. */
  readonly thread: boolean
}

const DELETED = ' (deleted)'

/** Inodes of procfs come and go; the path says all, once the numbers in it are those that the tasks will have. */
export function locateInProc(seen: SeenDescription, tree: SeenTree): ProcFile {
  const root = seen.process.rootPath
  const [, before = '', digits = '', inTask = '', after = ''] = /^(.*?\/)(\d+)(?:\/task\/(\d+))?(\/.*)?$/.exec(seen.link) ?? []
  if (!isMount(root + before)) return { path: seen.link, task: 0, thread: false }
  const mount = new ProcMount(root + before, tree)
  const [first, task] = seen.link.endsWith(DELETED)
    ? []
    : [mount.statusOf(digits), mount.statusOf(inTask === '' ? digits : `${digits}/task/${inTask}`)]
  if (first === undefined || task === undefined || !mount.isOfTree(first))
    throw refusal(seen, 'THAW_PROC_OUTSIDE', `is ${seen.link}, of a process outside the tree, or that is gone`, 'Close it in the warm-up.')
  requireThere(seen)
  refuseOfLate(seen, tree, first, after)
  const [number, tid] = [innermost(first, 'NSpid'), innermost(task, 'NSpid')]
  const path = `${before}${number}${inTask === '' ? '' : `/task/${tid}`}${after}`
  return { path, task: tid, thread: tid !== innermost(task, 'NStgid') }
}

/** Others have numbers for names, too: /proc/irq/7. */
function isMount(path: string): boolean {
  try {
    native.statPath(`${path}self`, false)
    return true
  } catch {
    return false
  }
}

/** Numbers are those of the pid namespace that it was mounted in. */
class ProcMount {
  readonly #path: string
  readonly #pids: ReadonlySet<number>

  /** @param path with a slash behind it */
  constructor(path: string, { processes }: SeenTree) {
    this.#path = path
    const isOwn = native.statPath(path).device === native.statPath('/proc').device
    this.#pids = new Set(processes.map(({ pid, innerPid }) => (isOwn ? pid : innerPid)))
  }

  /** Undefined for one that is gone, or goes while it is looked at. */
  statusOf(task: string): Status | undefined {
    try {
      return readStatusAt(`${this.#path}${task}/status`)
    } catch {
      return undefined
    }
  }

  /** Or somebody's child there: a zombie, or new in a tree that runs. */
  isOfTree(status: Status): boolean {
    for (let at: Status | undefined = status; at !== undefined; at = this.statusOf(field(at, 'PPid')))
      if (['Tgid', 'PPid'].some((name) => this.#pids.has(Number(field(at, name))))) return true
    return false
  }
}

/** What a zombie has lost cannot be opened any more, neither can what tells of a descriptor that was closed. */
function requireThere(seen: SeenDescription): void {
  try {
    closeSync(native.open(seen.process.rootPath + seen.link, seen.info.flags | O_CLOEXEC))
  } catch (error) {
    if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return
    throw refusal(seen, 'THAW_FILE_REPLACED', `is ${seen.link}, which cannot be opened any more`, 'Close it in the warm-up.')
  }
}

/** What tells of a descriptor that comes as late as itself. */
function refuseOfLate(seen: SeenDescription, tree: SeenTree, status: Status, after: string): void {
  const fd = /^\/(?:fd|fdinfo)\/(\d+)$/.exec(after)?.[1]
  const process = tree.processes.find(({ innerPid }) => innerPid === innermost(status, 'NStgid'))
  const other = fd === undefined || process === undefined ? undefined : tree.descriptionOf(process, Number(fd))
  const isLate = other?.status.device === seen.status.device || /^(anon_inode:\[pidfd\]$|pidfd:)/.test(other?.link ?? '')
  if (isLate)
    throw refusal(
      seen,
      'THAW_PROC_DESCRIPTOR',
      `is ${seen.link}, which tells of a descriptor that leads to a process itself, which is not carried`,
      'Close it in the warm-up.',
    )
}

/** All that an image has: what may lead to one leads to one of these. */
export const tasksOf = ({ processes, zombies }: ImageModel): ReadonlySet<number> =>
  new Set([...processes.flatMap(({ threads }) => threads.map(({ tid }) => tid)), ...zombies.map(({ pid }) => pid)])
