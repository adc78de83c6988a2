/** Everything on a file system, as far as there is time: for what stands in no folder that the program has anything to do with. */
import { join } from 'node:path'
import type { SeenProcess } from '../description.js'
import type { Mount } from '../../proc/mounts.js'
import { entriesOf } from './likely-paths.js'

const MOST_ENTRIES = 200_000
const MOST_MS = 3000

/** What is near the roots comes first. Other mounts are not gone into. */
export function* walkOf({ rootPath }: SeenProcess, device: number, mounts: readonly Mount[]): Generator<string, void> {
  const points = new Set(mounts.map(({ point }) => point))
  const folders = new Set(mounts.filter((mount) => mount.device === device).map(({ point }) => point))
  const until = performance.now() + MOST_MS
  let entries = 0
  for (const folder of folders) {
    yield folder
    for (const entry of entriesOf(rootPath + folder)) {
      if (++entries > MOST_ENTRIES || performance.now() > until) return
      const path = join(folder, entry.name)
      if (points.has(path)) continue
      if (entry.isDirectory()) folders.add(path)
      yield path
    }
  }
}
