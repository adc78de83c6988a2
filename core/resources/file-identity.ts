/** Files that a process has mapped: which file it is, and that it still is the same one at the restore. */
import { closeSync, lstatSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pid as ownPid } from 'node:process'
import { native } from '../../native/index.js'
import type { FileStatus } from '../../native/index.js'
import { ImageError } from '../errors.js'
import type { FileIdentity } from '../image/model.js'
import { readFdInfo } from '../proc/fdinfo.js'
import type { MappingLine } from '../proc/maps.js'
import type { SeenProcess } from './description.js'
import { mountsOf, packed } from '../proc/mounts.js'
import type { Mount } from '../proc/mounts.js'
import { O_CLOEXEC, O_PATH } from './open-flags.js'

/**
 * The file behind a mapping, by the path that /proc prints for it; undefined when that leads to it no more. Some file systems give their files other
 * devices than their own (btrfs those of subvolumes, overlayfs those of its layers), of which maps tells the file system's: then it is the
 * same file if its mount is of that.
 */
export function identify(process: SeenProcess, line: MappingLine, path: string): FileIdentity | undefined {
  const reachable = process.rootPath + path
  const status = statusIfThere(reachable)
  if (status === undefined || status.inode !== line.inode) return undefined
  const same = sameDevice(status, line.device) || fileSystemOf(process, reachable) === kernelDevice(line.device)
  return same ? identityOf(reachable, path, status) : undefined
}

/** By process: /proc/PID/mountinfo is long, and mappings are many. */
const known = new WeakMap<SeenProcess, readonly Mount[]>()

/** The device of the file system that is mounted where the path leads to. */
function fileSystemOf(process: SeenProcess, reachable: string): number | undefined {
  const mountId = mountIdOf(reachable)
  const before = known.get(process)?.find(({ id }) => id === mountId)
  if (before !== undefined) return before.device
  const mounts = mountsOf(process.pid)
  known.set(process, mounts)
  return mounts.find(({ id }) => id === mountId)?.device
}

/** Undefined when nothing stands there any more. */
function mountIdOf(path: string): number | undefined {
  let fd: number | undefined
  try {
    fd = native.open(path, O_PATH | O_CLOEXEC)
    return readFdInfo(ownPid, fd).mountId
  } catch {
    return undefined
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

/**
 * The file behind a mapping whose path is gone, by another name in the same folder: sem_open(3) makes a file under a passing name, maps
 * it and links it to the one it was asked for. Undefined when there is none.
 */
export function identifyBeside(process: SeenProcess, line: MappingLine, path: string): FileIdentity | undefined {
  const folder = dirname(path)
  for (const name of namesIn(process.rootPath + folder)) {
    const path = join(folder, name)
    const status = statusIfThere(process.rootPath + path)
    // Where devices are told in two ways, another file of this folder may have the same number.
    if (status?.inode === line.inode && sameDevice(status, line.device)) return identityOf(process.rootPath + path, path, status)
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

/** What maps prints, packed as mounts have it. */
export function kernelDevice(printed: string): number {
  const [major = 0, minor = 0] = printed.split(':').map((part) => Number.parseInt(part, 16))
  return packed(major, minor)
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
