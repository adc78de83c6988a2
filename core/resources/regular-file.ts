/** Files and folders: opened again by path, with position, flags and locks. */
import type { Cell } from '../program/bundle.js'
import { collectDeleted, sealDeleted, makeDeleted } from './deleted-file.js'
import type { DeletedFile } from './deleted-file.js'
import { defineKind } from './description.js'
import type { DescriptionKind, Emitter, SeenDescription, SeenTree } from './description.js'
import { closeDescriptor, firstThatWorks, reopen } from './emission.js'
import { belongsToProcess, collectLocks, emitLocks, exclusionOfLocks, verifyLocks } from './file-locks.js'
import type { FileLock } from './file-locks.js'
import { locate } from './file-path.js'
import { verifyExtents } from './kept-file.js'
import {
  AT_FDCWD,
  O_ACCMODE,
  O_APPEND,
  O_ASYNC,
  O_CLOEXEC,
  O_DIRECT,
  O_DIRECTORY,
  O_LARGEFILE,
  O_NOATIME,
  O_NONBLOCK,
  O_PATH,
  O_RDWR,
  O_TMPFILE,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
} from './open-flags.js'
import { tasksOf } from './proc-file.js'
import { refusal } from './refusal.js'
import { emitStanding } from './removed-folder.js'

export interface RegularFile {
  path: string
  device: bigint
  inode: bigint
  position: bigint
  folder: boolean
  /** The name it was opened by, when that is gone and `path` is another one. */
  goneName: string
  /** Content and status of a file without a name; folders have none. */
  deleted: DeletedFile | null
  deletedFolderMode: number
  locks: FileLock[]
  /** Of a file of /proc, the task of the tree that it leads to; 0: of none. */
  task: number
  /** A thread beside the first of its process. */
  thread: boolean
}

const SEEK_SET = 0
/** What fcntl sets, and what every file has (O_LARGEFILE): all that a memfd has besides O_RDWR when it is created. */
const SETTABLE = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | O_LARGEFILE
/** __O_TMPFILE without O_DIRECTORY. */
const TMPFILE_BIT = O_TMPFILE & ~O_DIRECTORY

export const regularFile: DescriptionKind<unknown> = defineKind<RegularFile>({
  name: 'regular_file',
  carriesLocks: true,
  support: {
    topic: 'descriptors',
    carried: 'files and folders (deleted ones too)',
    conditions: ['Files without a name are opened again without O_NOFOLLOW.'],
  },

  recognises({ status, info, link }) {
    if (!link.startsWith('/')) return false
    const type = status.mode & S_IFMT
    return type === S_IFREG || type === S_IFDIR || (info.flags & O_PATH) !== 0
  },

  collect(seen, tree) {
    const located = locate(seen, tree)
    const folder = (seen.status.mode & S_IFMT) === S_IFDIR
    const locks = collectLocks(seen, tree)
    const { task, thread } = located.how === 'in-proc' ? located : { task: 0, thread: false }
    if (located.how === 'deleted') refuseLease(seen, locks)
    if (task !== 0) refuseLocks(seen, locks)
    return {
      path: located.path,
      device: seen.status.device,
      inode: seen.status.inode,
      position: seen.info.position,
      folder,
      goneName: located.how === 'other-name' ? located.gone : '',
      deleted: located.how === 'deleted' && !folder ? deletedContent(seen, tree) : null,
      deletedFolderMode: located.how === 'deleted' && folder ? seen.status.mode & 0o7777 : 0,
      locks,
      task,
      thread,
    }
  },

  verify({ path, task, goneName, deleted, locks }, image, require, pageBytes) {
    for (const name of goneName === '' ? [path] : [path, goneName])
      require(name.startsWith('/'), `is '${name}', which is no path of a file`)
    if (deleted !== null) verifyExtents(deleted, pageBytes, (fits, otherwise) => require(fits, `is ${path}, which ${otherwise}`))
    verifyLocks(locks, image, require)
    require(task === 0 || tasksOf(image).has(task), `is ${path}, of process ${task}, which is not there`)
  },

  leadsTo: ({ task, thread }) => (task === 0 ? undefined : thread ? 'threads' : 'processes'),

  exclusion: ({ locks, deleted, deletedFolderMode }) => (deleted !== null || deletedFolderMode !== 0 ? 'none' : exclusionOfLocks(locks)),

  open(file, emitter, flags) {
    const self = openFile(file, emitter, flags)
    if (file.position !== 0n) emitter.program.call('lseek', [self, file.position, SEEK_SET], { equal: file.position })
    return self
  },

  connect(file, emitter, self) {
    const open = stillOpen(file, emitter)
    if (file.deleted !== null) {
      const maker = makeDeleted(file.deleted, file.path, false, emitter)
      const { fd } = maker
      sealDeleted(file.deleted, maker, emitter)
      // What made the file stays open for mappings of it.
      if (!open.includes(fd)) open.push(fd)
    }
    if (!open.includes(self)) open.push(self)
  },

  armingPids: ({ locks }) => locks.map(({ pid }) => pid),

  armEach(file, emitter, placements, { pid, isHome }, self) {
    const locks = file.locks.filter((lock) => lock.pid === pid || (lock.pid === 0 && isHome))
    // A process that closes any descriptor of a file loses its POSIX locks on it: ours have to go first.
    if (locks.some(belongsToProcess) && placements.length > 0)
      emitter.shared('closed-file', `${emitter.processIndex} ${file.device}:${file.inode}`, () => {
        for (const raised of stillOpen(file, emitter)) closeDescriptor(emitter.program, raised)
      })
    emitLocks(emitter.program, placements[0]?.fd ?? self, locks, file.path)
  },
})

/** The descriptors out of the way that lead to the same file. */
function stillOpen({ device, inode }: RegularFile, emitter: Emitter): Cell[] {
  return emitter.shared('open-file', `${device}:${inode}`, () => [])
}

/** Its content is read, and written again, through descriptions of our own: opening those breaks the lease, which its holder is told. */
function refuseLease(seen: SeenDescription, locks: readonly FileLock[]): void {
  if (locks.some(({ type }) => type === 'LEASE'))
    throw refusal(seen, 'THAW_FILE_LOCK', `holds a lease on ${seen.link}, which has no name any more`, 'Release it in the warm-up.')
}

/** They may be of processes that have no descriptor of it any more, and so are not given it when it is opened. */
function refuseLocks(seen: SeenDescription, locks: readonly FileLock[]): void {
  if (locks.length > 0)
    throw refusal(seen, 'THAW_FILE_LOCK', `holds a lock on ${seen.link}, which is not carried`, 'Release it in the warm-up.')
}

function deletedContent(seen: SeenDescription, tree: SeenTree): DeletedFile {
  if ((seen.status.mode & S_IFMT) !== S_IFREG)
    throw refusal(seen, 'THAW_FILE_UNNAMED', `is ${seen.link}, neither file nor folder and without a name`, 'Close it in the warm-up.')
  return collectDeleted(seen, tree)
}

/** Never blocks, whatever stands at the path by now; the flags that fcntl can set are set afterwards. */
function openFile(file: RegularFile, emitter: Emitter, flags: number): Cell {
  const openFlags = flags & ~O_ASYNC & ~TMPFILE_BIT
  if (file.deleted !== null) return openDeleted(file, file.deleted, emitter, openFlags, (flags & TMPFILE_BIT) !== 0)
  if (file.deletedFolderMode !== 0) return openDeletedFolder(file, emitter, openFlags)
  if (file.goneName !== '') return openByGoneName(file, emitter, openFlags)
  return emitter.raise(openPath(emitter, file.folder ? asFolder(file.path) : file.path, openFlags))
}

/** With a slash behind it a path leads to a folder or nowhere, as with O_DIRECTORY, which would stay visible. */
const asFolder = (path: string): string => (path.endsWith('/') ? path : `${path}/`)

function openPath(emitter: Emitter, path: string, flags: number): Cell {
  const { program } = emitter
  const nonBlocking = (flags & O_PATH) === 0 ? O_NONBLOCK : 0
  return program.call('openat', [AT_FDCWD, program.bundle.string(path), flags | nonBlocking | O_CLOEXEC, 0])
}

function openDeleted(file: RegularFile, deleted: DeletedFile, emitter: Emitter, flags: number, isTmpfile: boolean): Cell {
  const maker = makeDeleted(deleted, file.path, isTmpfile, emitter)
  // Flags of open(2) that make a file stay with its description: what O_TMPFILE itself gave is just right for one that had it too.
  const asMade = deleted.memfd === null ? isTmpfile && (flags & O_ACCMODE) === O_RDWR : (flags & ~SETTABLE) === O_RDWR
  if (maker.taken || !asMade) return reopen(emitter, maker.fd, isTmpfile ? flags & ~O_DIRECTORY : flags)
  maker.taken = true
  return maker.fd
}

/** All descriptions of a removed folder share it. */
function openDeletedFolder(file: RegularFile, emitter: Emitter, flags: number): Cell {
  const { program } = emitter
  const first = emitter.shared<{ fd?: Cell }>('deleted-folder', `${file.device}:${file.inode}`, () => ({}))
  if (first.fd !== undefined) return reopen(emitter, first.fd, flags)
  const opened = program.bundle.cell('removed folder')
  emitStanding(program, file.path, () => {
    program.callInto(opened, 'openat', [AT_FDCWD, program.bundle.string(asFolder(file.path)), flags | O_CLOEXEC, 0])
    program.call('fchmodat', [AT_FDCWD, program.bundle.string(file.path), file.deletedFolderMode])
  })
  first.fd = emitter.raise(opened)
  return first.fd
}

/** Under the gone name for a moment, where it is free, so that /proc shows the same name afterwards. */
function openByGoneName(file: RegularFile, emitter: Emitter, flags: number): Cell {
  const { program } = emitter
  const [path, gone] = [program.bundle.string(file.path), program.bundle.string(file.goneName)]
  const openFlags = flags | (flags & O_PATH ? 0 : O_NONBLOCK) | O_CLOEXEC
  const byGoneName = (into: Cell): void => {
    program.callInto(into, 'linkat', [AT_FDCWD, path, AT_FDCWD, gone, 0], 'any')
    const taken = program.jump(0, 'less', into, 0)
    program.callInto(into, 'openat', [AT_FDCWD, gone, openFlags, 0])
    program.call('unlink', [gone])
    taken.target = program.here
  }
  return emitter.raise(
    firstThatWorks(program, 'file', [byGoneName, (into) => program.callInto(into, 'openat', [AT_FDCWD, path, openFlags, 0])]),
  )
}
