/**
 * Files on the memory file system that a sandbox has of its own on /dev/shm: shared memory and semaphores by name (shm_overview(7),
 * sem_overview(7)). Each instance gets one of its own, with the files as they were. Trees that see the host's have no files of their own there.
 */
import { lstatSync, readdirSync, readlinkSync, statfsSync } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { native } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import type { Program } from '../program/program.js'
import type { Emitter, SeenProcess, SeenTree } from './description.js'
import { emitContent, keepExtents, timesOf } from './kept-file.js'
import type { KeptFile } from './kept-file.js'
import { AT_FDCWD, O_CLOEXEC, O_CREAT, O_EXCL, O_RDWR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from './open-flags.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'around the tree',
  carried: 'files on /dev/shm, of which a sandbox has one of its own',
  refused: {
    THAW_MEMORY_FILE: 'devices, extended attributes, privately mapped files and files that cannot be read, on /dev/shm of a sandbox',
  },
}

/** A file, folder, link, named pipe or socket. */
export interface MemoryFile extends KeptFile {
  /** Below /dev/shm; empty for that folder itself. */
  path: string
  /** Where a symbolic link leads. */
  target: string
  /** The name by which the same file was met before; empty for a first one. */
  sameAs: string
}

const FOLDER = '/dev/shm'
const TMPFS_MAGIC = 0x0102_1994
const AT_SYMLINK_NOFOLLOW = 0x100
const KINDS: readonly number[] = [S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK]
const GONE: readonly string[] = ['ENOENT', 'ESRCH']

/** Whether what a process sees there is a memory file system that this one does not see. */
function hasOwnShm(rootPath: string): boolean {
  const folder = rootPath + FOLDER
  try {
    return native.statPath(folder).device !== native.statPath(FOLDER).device && statfsSync(folder).type === TMPFS_MAGIC
  } catch (error) {
    if (GONE.includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
}

/** Whether a path leads there. */
export const isOnOwnShm = (rootPath: string, path: string): boolean => path.startsWith(`${FOLDER}/`) && hasOwnShm(rootPath)

/**
 * Folders before what is in them; nothing where the tree sees the host's.
 *
 * @throws UnsupportedError THAW_MEMORY_FILE
 */
export function collectMemoryFiles(tree: SeenTree): MemoryFile[] {
  const [root] = tree.processes
  if (root === undefined || !hasOwnShm(root.rootPath)) return []
  const files: MemoryFile[] = []
  const met = new Map<bigint, string>()
  const add = (path: string): void => {
    const status = statusOf(root, path)
    if (status === undefined) return
    files.push(collectFile(root, path, status, met, tree))
    if (isOfKind(status, S_IFDIR)) for (const name of readdirSync(onDisk(root, path))) add(path === '' ? name : `${path}/${name}`)
  }
  add('')
  return files
}

const onDisk = ({ rootPath }: SeenProcess, path: string): string => `${rootPath}${FOLDER}/${path}`
const isOfKind = ({ mode }: BigIntStats, kind: number): boolean => (Number(mode) & S_IFMT) === kind

/** Undefined when somebody has removed it meanwhile. */
function statusOf(root: SeenProcess, path: string): BigIntStats | undefined {
  try {
    return lstatSync(onDisk(root, path), { bigint: true })
  } catch (error) {
    if (GONE.includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

function collectFile(root: SeenProcess, path: string, status: BigIntStats, met: Map<bigint, string>, tree: SeenTree): MemoryFile {
  const source = onDisk(root, path)
  if (!KINDS.some((kind) => isOfKind(status, kind))) throw refusedFile(root, nameOf({ path }), 'is a device')
  const attributes = attributesOf(source)
  if (attributes !== '') throw refusedFile(root, nameOf({ path }), `has extended attributes (${attributes})`)
  const sameAs = isOfKind(status, S_IFDIR) ? '' : (met.get(status.ino) ?? '')
  met.set(status.ino, path)
  const isFile = isOfKind(status, S_IFREG)
  return {
    path,
    mode: Number(status.mode),
    uid: Number(status.uid),
    gid: Number(status.gid),
    sizeBytes: isFile ? status.size : 0n,
    accessed: status.atimeNs,
    modified: status.mtimeNs,
    extents: isFile && sameAs === '' && tree.frozen ? contentOf(root, path, status, tree) : [],
    target: isOfKind(status, S_IFLNK) ? readlinkSync(source) : '',
    sameAs,
  }
}

function contentOf(root: SeenProcess, path: string, { size }: BigIntStats, tree: SeenTree): MemoryFile['extents'] {
  try {
    return keepExtents(onDisk(root, path), size, tree)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (code === 'EACCES') throw refusedFile(root, nameOf({ path }), 'cannot be read by this user')
    throw error
  }
}

/** Of a file, without the label that SELinux gives every one. */
function attributesOf(path: string): string {
  const names = Buffer.alloc(65_536)
  const length = Number(native.syscall('llistxattr', [Buffer.from(`${path}\0`), names, names.length]))
  return names
    .toString('utf8', 0, length)
    .split('\0')
    .filter((name) => name !== '' && name !== 'security.selinux')
    .join(', ')
}

/** @param path all of it */
export const refusedFile = ({ pid, name }: SeenProcess, path: string, what: string): UnsupportedError =>
  new UnsupportedError(
    'THAW_MEMORY_FILE',
    `Cannot checkpoint pid ${pid} (${name}): ${path}, in its sandbox, ${what}, which is not carried. Remove it before the checkpoint.`,
    { pid },
  )

/** Whether what stands at a path is made anew for each instance. @param path all of it */
export const isOfInstance = (files: readonly MemoryFile[], path: string): boolean =>
  path.startsWith(`${FOLDER}/`) && files.some((file) => nameOf(file) === path)

/** Whether there can be one. @param modeOf the mode of what is there already */
export function isFileOfShm(path: string, mode: number, modeOf: (path: string) => number | undefined): boolean {
  if (path === '') return (mode & S_IFMT) === S_IFDIR
  const names = path.split('/')
  const folder = modeOf(names.slice(0, -1).join('/')) ?? 0
  return (folder & S_IFMT) === S_IFDIR && KINDS.includes(mode & S_IFMT) && !names.some((name) => ['', '.', '..'].includes(name))
}

/** In the first process, before anything is opened. */
export function emitMemoryFiles(emitter: Emitter, files: readonly MemoryFile[]): void {
  const { program } = emitter
  for (const file of files) program.for(nameOf(file), () => emitFile(emitter, file))
  // What is made in a folder changes its times.
  for (const file of files.toReversed()) program.for(nameOf(file), () => emitAttributes(program, file))
}

const nameOf = ({ path }: Pick<MemoryFile, 'path'>): string => (path === '' ? FOLDER : `${FOLDER}/${path}`)

function emitFile(emitter: Emitter, file: MemoryFile): void {
  const { program } = emitter
  const { bundle } = program
  const path = bundle.string(nameOf(file))
  const kind = file.mode & S_IFMT
  if (file.path === '') return
  if (file.sameAs !== '') program.call('linkat', [AT_FDCWD, bundle.string(`${FOLDER}/${file.sameAs}`), AT_FDCWD, path, 0])
  else if (kind === S_IFDIR) program.call('mkdirat', [AT_FDCWD, path, 0o700])
  else if (kind === S_IFLNK) program.call('symlinkat', [bundle.string(file.target), AT_FDCWD, path])
  else if (kind === S_IFREG) {
    const fd = program.call('openat', [AT_FDCWD, path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600])
    emitContent(emitter, fd, file)
    program.call('close', [fd])
  } else program.call('mknodat', [AT_FDCWD, path, kind | 0o600, 0])
}

function emitAttributes(program: Program, file: MemoryFile): void {
  const path = program.bundle.string(nameOf(file))
  program.call('fchownat', [AT_FDCWD, path, file.uid, file.gid, AT_SYMLINK_NOFOLLOW])
  if ((file.mode & S_IFMT) !== S_IFLNK) program.call('fchmodat', [AT_FDCWD, path, file.mode & 0o7777])
  program.call('utimensat', [AT_FDCWD, path, program.bundle.words(...timesOf(file)), AT_SYMLINK_NOFOLLOW])
}
