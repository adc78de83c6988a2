/** Working directory, root and umask of a process. */
import { readlinkSync } from 'node:fs'
import { native } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import type { FileSystemModel } from '../image/model.js'
import { field } from '../proc/status.js'
import type { Status } from '../proc/status.js'
import type { Program } from '../program/program.js'
import type { SeenProcess } from './description.js'

export function collectFileSystem(process: SeenProcess, status: Status): FileSystemModel {
  const root = readlinkSync(`/proc/${process.pid}/root`)
  const workingDirectory = readlinkSync(`/proc/${process.pid}/cwd`)
  const seen = native.statPath(`/proc/${process.pid}/cwd`)
  const byPath = statOrUndefined(process.rootPath + workingDirectory)
  if (byPath === undefined || byPath.device !== seen.device || byPath.inode !== seen.inode)
    throw new UnsupportedError(
      'THAW_WORKING_DIRECTORY',
      `Cannot checkpoint pid ${process.pid} (${process.name}): its working directory ${workingDirectory} is gone or was replaced. Change to one that exists.`,
      { pid: process.pid },
    )
  return { workingDirectory, root, umask: Number.parseInt(field(status, 'Umask'), 8) }
}

function statOrUndefined(path: string): ReturnType<typeof native.statPath> | undefined {
  try {
    return native.statPath(path)
  } catch {
    return undefined
  }
}

/** Paths start at the root of the mount namespace, so the root folder is changed last. */
export function emitFileSystem(program: Program, { workingDirectory, root, umask }: FileSystemModel): void {
  program.for('working directory', () => program.call('chdir', [program.bundle.string(workingDirectory)]))
  program.for('umask', () => program.call('umask', [umask], 'any'))
  if (root !== '/') program.for('root folder', () => program.call('chroot', [program.bundle.string(root)]))
}
