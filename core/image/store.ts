/** Images on disk: a folder with `metadata.bin` (thaw.proto), `pages.bin` and `manifest.json`. */
import { createHash } from 'node:crypto'
import { closeSync, createReadStream, fsyncSync, ftruncateSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { release } from 'node:os'
import { join } from 'node:path'
import { native } from '../../native/index.js'
import { decodeImage, encodeImage } from './codec.js'
import { ImageFolder, notWritable } from './folder.js'
import { damaged, MANIFEST, manifestText, METADATA, notReadable, PAGES, readManifest } from './manifest.js'
import type { FileDigest } from './manifest.js'
import type { ImageModel } from './model.js'
import { verifyStructure } from './structure.js'
import { IMAGE_VERSION } from './version.js'

/** An image read from disk; `pageFd` belongs to the caller. */
export interface StoredImage {
  readonly model: ImageModel
  readonly pageFd: number
  readonly pageBytes: bigint
}

/** Commits an image. The digests are of what was written. @throws ImageError; nothing is left behind */
export async function writeImage(folder: string, model: ImageModel, pageFd: number, pageBytes: bigint): Promise<void> {
  const place = ImageFolder.create(folder)
  const at = (name: string): string => join(place.workPath, name)
  try {
    writeFileSync(at(METADATA), encodeImage(model), { mode: 0o600, flush: true })
    writePages(at(PAGES), pageFd, pageBytes)
    const files = { [METADATA]: await digest(at(METADATA)), [PAGES]: await digest(at(PAGES)) }
    const text = manifestText({ formatVersion: IMAGE_VERSION, kernelRelease: release(), files })
    writeFileSync(at(`${MANIFEST}.partial`), text, { mode: 0o600, flush: true })
    place.commit(MANIFEST)
  } catch (error) {
    place.abandon()
    throw notWritable(folder, error)
  }
}

function writePages(path: string, pageFd: number, pageBytes: bigint): void {
  const fd = openSync(path, 'wx', 0o600)
  try {
    ftruncateSync(fd, Number(pageBytes))
    native.copyRange(pageFd, 0n, fd, 0n, pageBytes)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

async function digest(path: string): Promise<FileDigest> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return { sizeBytes: statSync(path).size, sha256: hash.digest('hex') }
}

/**
 * Opens an image. Sizes and the digest of the metadata are always checked; the digest of the pages when `verify` asks for it, as it
 * takes reading them all.
 *
 * @throws ImageError THAW_IMAGE_MISSING, THAW_IMAGE_NOT_READABLE, THAW_IMAGE_DAMAGED, THAW_IMAGE_VERSION
 */
export async function readImage(folder: string, verify: 'structure' | 'everything'): Promise<StoredImage> {
  const { files, kernelRelease } = readManifest(folder)
  for (const name of [METADATA, PAGES] as const)
    await checkFile(join(folder, name), files[name], name === METADATA || verify === 'everything')
  const metadata = join(folder, METADATA)
  const model = decodeImage(await reading(metadata, () => readFileSync(metadata)), metadata)
  if (model.machine.kernelRelease !== kernelRelease) throw damaged(join(folder, MANIFEST), 'it tells of another kernel than the metadata')
  const pageBytes = BigInt(files[PAGES].sizeBytes)
  verifyStructure(model, pageBytes, metadata)
  const pages = join(folder, PAGES)
  return { model, pageFd: await reading(pages, () => openSync(pages, 'r')), pageBytes }
}

/** What `readImage` leaves out for the sake of time: the digest of the pages. @throws ImageError THAW_IMAGE_NOT_READABLE, THAW_IMAGE_DAMAGED */
export function verifyPages(folder: string): Promise<void> {
  return checkFile(join(folder, PAGES), readManifest(folder).files[PAGES], true)
}

async function checkFile(path: string, wanted: FileDigest, whole: boolean): Promise<void> {
  const { size } = await reading(path, () => statSync(path))
  if (size !== wanted.sizeBytes) throw damaged(path, `it has ${size} bytes, not ${wanted.sizeBytes}`)
  if (whole && (await reading(path, () => digest(path))).sha256 !== wanted.sha256)
    throw damaged(path, 'its digest is not the one that was written')
}

/** Does something to a file of an image, and turns what fails into words. */
async function reading<T>(path: string, action: () => T | Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    throw (cause as NodeJS.ErrnoException).code === 'ENOENT' ? damaged(path, 'it is missing', cause) : notReadable(path, cause)
  }
}
