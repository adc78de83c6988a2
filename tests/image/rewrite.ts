/** Images with other metadata than were written, and the digests to go with it. */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeImage, encodeImage } from '../../dist/core/image/codec.js'
import type { ImageModel } from '../../dist/core/image/model.js'

/** @param folder of the image */
export function rewrite(folder: string, change: (model: ImageModel) => ImageModel): void {
  const path = join(folder, 'metadata.bin')
  replaceMetadata(folder, encodeImage(change(decodeImage(readFileSync(path), path))))
}

export function replaceMetadata(folder: string, metadata: Uint8Array): void {
  const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as {
    kernelRelease: string
    files: Record<string, unknown>
  }
  manifest.kernelRelease = decodeImage(metadata, folder).machine.kernelRelease
  manifest.files['metadata.bin'] = { sizeBytes: metadata.length, sha256: createHash('sha256').update(metadata).digest('hex') }
  writeFileSync(join(folder, 'metadata.bin'), metadata)
  writeFileSync(join(folder, 'manifest.json'), `${JSON.stringify(manifest, undefined, 2)}\n`)
}
