/** How far instances of one image are in each other's way, each in a sandbox of its own: files are the host's, and so is what is held on them. */
import type { ImageModel } from '../image/model.js'
import { kindNamed } from './kinds.js'

/**
 * - `none`: there may be any number of them.
 * - `running`: one at a time may run, while others stand by (locks on files).
 * - `existing`: one at a time may be there, be it to stand by (sockets and pipes with names in the file system).
 */
export type Exclusion = 'none' | 'running' | 'existing'

const byStrength: readonly Exclusion[] = ['existing', 'running', 'none']

export function exclusionOf(image: Pick<ImageModel, 'descriptions' | 'memoryFiles'>): Exclusion {
  const found = new Set(image.descriptions.map(({ kind, payload }) => kindNamed(kind).exclusion?.(payload, image)))
  return byStrength.find((exclusion) => found.has(exclusion)) ?? 'none'
}
