/**
 * The folder that an image is written to. It is filled under a temporary name beside its place, fsynced and renamed. Where the folder is
 * there already and rename(2) cannot replace it, it is filled in place: what makes it an image, the manifest, then comes last.
 */
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  rmdirSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { ImageError } from '../errors.js'
import { mountsOf } from '../proc/mounts.js'

/** Where files go until `commit`. */
export class ImageFolder {
  readonly path: string
  readonly workPath: string

  private constructor(path: string, workPath: string) {
    this.path = path
    this.workPath = workPath
  }

  /** @throws ImageError THAW_IMAGES_EXIST, THAW_IMAGES_NOT_WRITABLE */
  static create(folder: string): ImageFolder {
    return writing(folder, () => {
      // A link to a folder is to stay one.
      const path = exists(resolve(folder)) ? realpathSync(folder) : resolve(folder)
      if (exists(path) && readdirSync(path).length > 0)
        throw new ImageError(
          'THAW_IMAGES_EXIST',
          `Cannot write an image to ${folder}: it exists and is not empty. Name another folder, or remove it.`,
          { path },
        )
      sweep(path)
      const created = new ImageFolder(path, fillInPlace(path) ? path : temporaryName(path))
      if (created.#inPlace) accessSync(path, constants.W_OK)
      // Its parent is not made: what fails is to leave nothing behind, nor is a mistyped path to become folders.
      else mkdirSync(created.workPath, { mode: 0o700 })
      return created
    })
  }

  get #inPlace(): boolean {
    return this.workPath === this.path
  }

  /** @param last the file that makes the folder an image, there under `${last}.partial` */
  commit(last: string): void {
    renameSync(join(this.workPath, `${last}.partial`), join(this.workPath, last))
    syncFolder(this.workPath)
    // rename(2) replaces an empty folder.
    if (!this.#inPlace) renameSync(this.workPath, this.path)
    syncFolder(dirname(this.path))
  }

  /** Leaves things as they were. */
  abandon(): void {
    if (!this.#inPlace) rmSync(this.workPath, { recursive: true, force: true })
    else for (const name of readdirSync(this.path)) rmSync(join(this.path, name), { force: true })
  }
}

/** Finds out before anything is frozen that an image cannot go there. @throws ImageError THAW_IMAGES_EXIST, THAW_IMAGES_NOT_WRITABLE */
export function prepareFolder(folder: string): void {
  const { path, workPath } = ImageFolder.create(folder)
  if (workPath !== path) rmdirSync(workPath)
}

/** Runs what writes there, and turns what fails into words. */
export function writing<T>(folder: string, action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw notWritable(folder, error)
  }
}

export function notWritable(folder: string, error: unknown): unknown {
  if (error instanceof ImageError) return error
  const cause = error as NodeJS.ErrnoException
  const why = reasons[cause.code ?? ''] ?? cause.code ?? cause.message
  return new ImageError(
    'THAW_IMAGES_NOT_WRITABLE',
    `Cannot write an image to ${folder}: ${why}. Name a folder that can be written and has room.`,
    {
      path: folder,
      cause,
      ...(cause.syscall === undefined ? {} : { syscall: cause.syscall }),
      ...(cause.errno === undefined ? {} : { errno: Math.abs(cause.errno) }),
    },
  )
}

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left there',
  EDQUOT: 'the disk quota is used up',
  EACCES: 'this user may not write there (EACCES)',
  EROFS: 'the file system is read-only',
  ENOENT: 'the folder that it is to be in does not exist (ENOENT)',
  ENOTDIR: 'that is no folder (ENOTDIR)',
}

/** The sticky bit: only who owns a file, or the folder that it is in, may rename it. */
const S_ISVTX = 0o1000

const temporaryName = (path: string): string => join(dirname(path), `.${basename(path)}.${process.pid}.partial`)

/** Removes what dumpers that were killed have left of images that were to go to this place. */
function sweep(path: string): void {
  const [start, end] = [`.${basename(path)}.`, '.partial']
  for (const name of exists(dirname(path)) ? readdirSync(dirname(path)) : []) {
    if (!name.startsWith(start) || !name.endsWith(end)) continue
    const pid = name.slice(start.length, -end.length)
    if (/^\d+$/.test(pid) && !exists(`/proc/${pid}`)) rmSync(join(dirname(path), name), { recursive: true, force: true })
  }
}

const exists = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined

/** A mount point, a folder in one that is not ours to write to, or another one's in a folder like /tmp. */
function fillInPlace(path: string): boolean {
  if (!exists(path)) return false
  const [folder, parent] = [lstatSync(path), lstatSync(dirname(path))]
  if (folder.dev !== parent.dev || isMountPoint(path)) return true
  if ((parent.mode & S_ISVTX) !== 0 && ![folder.uid, parent.uid].includes(process.geteuid?.() ?? 0)) return true
  try {
    accessSync(dirname(path), constants.W_OK)
    return false
  } catch {
    return true
  }
}

/** Also of a folder of the same file system (mount --bind). */
const isMountPoint = (path: string): boolean => mountsOf(process.pid).some(({ point }) => point === path)

function syncFolder(path: string): void {
  const fd = openSync(path, 'r')
  fsyncSync(fd)
  closeSync(fd)
}
