/** Working directory, root and umask of a process. */
import { readlinkSync } from 'node:fs'
import { native } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import type { DescriptionModel, FileSystemModel, ProcessModel } from '../image/model.js'
import { field } from '../proc/status.js'
import type { Status } from '../proc/status.js'
import type { Program } from '../program/program.js'
import type { SeenProcess } from './description.js'
import { statusIfThere } from './file-identity.js'
import { collectRemoved, emitChangeToRemoved } from './removed-folder.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'task',
  carried: 'working directory (a removed one too), root, umask',
  refused: {
    THAW_WORKING_DIRECTORY: 'working directories that cannot be found again',
    THAW_ROOT: 'a root folder of its own in another mount namespace',
  },
}

const DELETED = ' (deleted)'

export function collectFileSystem(process: SeenProcess, status: Status): FileSystemModel {
  const root = readlinkSync(`/proc/${process.pid}/root`)
  const workingDirectory = readlinkSync(`/proc/${process.pid}/cwd`)
  if (!leadsTo(process.rootPath + root, `/proc/${process.pid}/root`)) throw refused(process, `root folder ${root} is gone or was replaced`)
  const umask = Number.parseInt(field(status, 'Umask'), 8)
  const link = `/proc/${process.pid}/cwd`
  if (leadsTo(process.rootPath + workingDirectory, link)) return { workingDirectory, removed: null, root, umask }
  const gone = workingDirectory.endsWith(DELETED) ? workingDirectory.slice(0, -DELETED.length) : undefined
  if (gone === undefined || statusIfThere(process.rootPath + gone) !== undefined)
    throw refused(process, `working directory ${workingDirectory} was replaced`)
  return { workingDirectory: gone, removed: collectRemoved(link), root, umask }
}

function leadsTo(path: string, link: string): boolean {
  const [byPath, seen] = [statusIfThere(path), native.statPath(link)]
  return byPath !== undefined && byPath.device === seen.device && byPath.inode === seen.inode
}

function refused({ pid, name }: SeenProcess, what: string): UnsupportedError {
  return new UnsupportedError('THAW_WORKING_DIRECTORY', `Cannot checkpoint pid ${pid} (${name}): its ${what}. Change to one that exists.`, {
    pid,
  })
}

export function verifyFileSystem({ workingDirectory, root }: FileSystemModel, require: (fits: boolean, otherwise: string) => void): void {
  require(workingDirectory.startsWith('/'), `cannot have the working directory '${workingDirectory}'`)
  require(root.startsWith('/'), `cannot have the root folder '${root}'`)
}

export function emitFileSystem(
  program: Program,
  { fileSystem: { workingDirectory, removed, umask }, descriptors }: ProcessModel,
  descriptions: readonly DescriptionModel[],
): void {
  program.for('working directory', () => {
    if (removed === null) program.call('chdir', [program.bundle.string(workingDirectory)])
    else emitChangeToRemoved(program, workingDirectory, removed, descriptors, descriptions)
  })
  program.for('umask', () => program.call('umask', [umask], 'any'))
}

/** When all else is done that takes a path: paths start at the root of the mount namespace, and a root folder may be without a /proc. */
export function emitRoot(program: Program, { fileSystem: { root } }: ProcessModel): void {
  if (root !== '/') program.for('root folder', () => program.call('chroot', [program.bundle.string(root)]))
}
