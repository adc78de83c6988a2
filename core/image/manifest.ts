/** The manifest: which files make an image, and what they were when it was committed. An image is one when it has a manifest. */
import { readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ImageError } from '../errors.js'
import { IMAGE_VERSION } from './version.js'

export const METADATA = 'metadata.bin'
export const PAGES = 'pages.bin'
export const MANIFEST = 'manifest.json'

export interface FileDigest {
  readonly sizeBytes: number
  readonly sha256: string
}

export interface Manifest {
  readonly formatVersion: number
  readonly kernelRelease: string
  readonly files: { readonly [METADATA]: FileDigest; readonly [PAGES]: FileDigest }
}

const digestText = ({ sizeBytes, sha256 }: FileDigest): FileDigest => ({ sizeBytes, sha256 })

/** One manifest has one text, so that a byte that changed is seen although nothing holds a digest of the manifest itself. */
export function manifestText({ formatVersion, kernelRelease, files }: Manifest): string {
  const ordered = { formatVersion, kernelRelease, files: { [METADATA]: digestText(files[METADATA]), [PAGES]: digestText(files[PAGES]) } }
  return `${JSON.stringify(ordered, undefined, 2)}\n`
}

/** @throws ImageError THAW_IMAGE_MISSING, THAW_IMAGE_NOT_READABLE, THAW_IMAGE_DAMAGED, THAW_IMAGE_VERSION */
export function readManifest(folder: string): Manifest {
  const path = join(folder, MANIFEST)
  const text = readText(folder, path)
  const manifest = parse(text, path)
  if (manifest.formatVersion !== IMAGE_VERSION)
    throw new ImageError(
      'THAW_IMAGE_VERSION',
      `Cannot read ${folder}: it has image format ${manifest.formatVersion}, this version reads ${IMAGE_VERSION}. Make a new checkpoint.`,
      { path },
    )
  return manifest
}

function readText(folder: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new ImageError(
        'THAW_IMAGE_MISSING',
        `Cannot read an image from ${folder}: there is none. Name the folder that was given to thaw dump.`,
        { path, cause },
      )
    throw notReadable(path, cause)
  }
}

/** What a system call has failed with that was to read a file of an image. */
export function notReadable(path: string, cause: unknown): ImageError {
  const { code, syscall, errno } = cause as NodeJS.ErrnoException
  const advice =
    code === 'EACCES' || code === 'EPERM'
      ? 'Run as the user that made it, or as root.'
      : 'Read it from another place, or make a new checkpoint.'
  return new ImageError('THAW_IMAGE_NOT_READABLE', `Cannot read an image from ${dirname(path)}: ${code}, of ${basename(path)}. ${advice}`, {
    path,
    cause,
    ...(syscall === undefined ? {} : { syscall }),
    ...(errno === undefined ? {} : { errno: Math.abs(errno) }),
  })
}

function parse(text: string, path: string): Manifest {
  try {
    const manifest = JSON.parse(text) as Manifest
    if (manifestText(manifest) === text) return manifest
  } catch (cause) {
    throw damaged(path, 'it is not a manifest', cause)
  }
  throw damaged(path, 'it is not what was written')
}

export const damaged = (path: string, why: string, cause?: unknown): ImageError =>
  new ImageError('THAW_IMAGE_DAMAGED', `Cannot read ${path}: ${why}. The image is damaged; make a new checkpoint.`, {
    path,
    ...(cause === undefined ? {} : { cause }),
  })
