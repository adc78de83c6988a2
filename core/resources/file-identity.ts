/** Files that a process has mapped: which file it is, and that it still is the same one at the restore. */
import { lstatSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { native } from '../../native/index.js'
import type { FileStatus } from '../../native/index.js'
import { ImageError } from '../errors.js'
import type { FileIdentity } from '../image/model.js'
import type { MappingLine } from '../proc/maps.js'
import type { SeenProcess } from './description.js'

/** The file behind a mapping, by path; undefined when the path leads to it no more. */
export function identify(process: SeenProcess, line: MappingLine, path: string): FileIdentity | undefined {
  const status = statusIfThere(process.rootPath + path)
  const same = status !== undefined && status.inode === line.inode && sameDevice(status, line.device)
  return same ? identityOf(process.rootPath + path, path, status) : undefined
}

/**
 * The file behind a mapping whose path is gone, by another name in the same folder: sem_open(3) makes a file under a passing name, maps
 * it and links it to the one it was asked for. Undefined when there is none.
 */
export function identifyBeside(process: SeenProcess, line: MappingLine, path: string): FileIdentity | undefined {
  const folder = dirname(path)
  for (const name of namesIn(process.rootPath + folder)) {
    const identity = identify(process, line, join(folder, name))
    if (identity !== undefined) return identity
  }
  return undefined
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

export function identityOf(reachable: string, path: string, status: FileStatus): FileIdentity {
  const modified = lstatSync(reachable, { bigint: true }).mtimeNs
  return {
    path,
    device: status.device,
    inode: status.inode,
    sizeBytes: status.sizeBytes,
    modified,
    deleted: false,
    contentOffset: 0n,
    content: null,
  }
}

/** @throws ImageError THAW_FILE_CHANGED when the file is gone or is not the one that was mapped */
export function verifyFile(file: FileIdentity): void {
  if (file.deleted) return
  const status = statusIfThere(file.path)
  if (status !== undefined && status.inode === file.inode && status.sizeBytes === file.sizeBytes) {
    if (lstatSync(file.path, { bigint: true }).mtimeNs === file.modified) return
  }
  throw new ImageError(
    'THAW_FILE_CHANGED',
    `Cannot restore: ${file.path} ${status === undefined ? 'is gone' : 'was changed'} since the checkpoint. Put the same file back, or make a new checkpoint.`,
    { path: file.path },
  )
}

/** /proc prints devices as major:minor in hex (fs/proc/task_mmu.c); st_dev packs them as glibc's makedev does. */
export function statDevice(printed: string): bigint {
  const [major = 0n, minor = 0n] = printed.split(':').map((part) => BigInt(`0x${part}`))
  return ((major & ~0xfffn) << 32n) | ((minor & ~0xffn) << 12n) | ((major & 0xfffn) << 8n) | (minor & 0xffn)
}

export const sameDevice = ({ device }: Pick<FileStatus, 'device'>, printed: string): boolean => device === statDevice(printed)

export function statusIfThere(path: string): FileStatus | undefined {
  try {
    return native.statPath(path)
  } catch {
    return undefined
  }
}
