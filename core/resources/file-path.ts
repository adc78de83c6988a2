/** By which path an open file is found again: its own, another name of the same file, or none any more. */
import { readdirSync, statfsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { native } from '../../native/index.js'
import type { FileStatus } from '../../native/index.js'
import type { SeenDescription, SeenTree } from './description.js'
import { locateInProc } from './proc-file.js'
import type { ProcFile } from './proc-file.js'
import { refusal } from './refusal.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'around the tree',
  carried: "files are the host's",
  refused: {
    THAW_FILE_UNNAMED: 'open files that were deleted while another name of theirs exists elsewhere',
  },
}

export type LocatedFile =
  | { readonly how: 'path'; readonly path: string }
  | ({ readonly how: 'in-proc' } & ProcFile)
  /** The name it was opened by is gone, `path` leads to the same file. */
  | { readonly how: 'other-name'; readonly path: string; readonly gone: string }
  | { readonly how: 'deleted'; readonly path: string }

/** What /proc prints behind the path of a file that has lost it. */
export const DELETED = ' (deleted)'
const PROC_MAGIC = 0x9fa0
const MQUEUE_MAGIC = 0x1980_0202

export function locate(seen: SeenDescription, tree: SeenTree): LocatedFile {
  const { link, process } = seen
  const root = process.rootPath
  const fileSystem = statfsSync(`/proc/${process.pid}/fd/${seen.fd}`).type
  if (fileSystem === MQUEUE_MAGIC)
    throw refusal(seen, 'THAW_DESCRIPTOR', `is the POSIX message queue ${link}, which is not carried`, 'Close it in the warm-up.')
  if (fileSystem === PROC_MAGIC) return { how: 'in-proc', ...locateInProc(seen, tree) }
  if (leadsTo(root + link, seen.status)) return { how: 'path', path: link }
  if (!link.endsWith(DELETED))
    throw refusal(
      seen,
      'THAW_FILE_REPLACED',
      `is ${link}, but that path leads to another file now, or to none`,
      'Close it in the warm-up, or start the process in the mount namespace that it is used in.',
    )
  const gone = link.slice(0, -DELETED.length)
  if (seen.status.links === 0) return { how: 'deleted', path: gone }
  const path = otherName(root, dirname(gone), seen.status)
  if (path !== undefined) return { how: 'other-name', path, gone }
  throw refusal(
    seen,
    'THAW_FILE_UNNAMED',
    `is ${gone}, which was deleted while another name of the same file exists elsewhere`,
    'Close it in the warm-up, or keep the name that it was opened by.',
  )
}

export function leadsTo(path: string, { device, inode }: FileStatus): boolean {
  try {
    const found = native.statPath(path, false)
    return found.device === device && found.inode === inode
  } catch {
    return false
  }
}

export function otherName(root: string, folder: string, status: FileStatus): string | undefined {
  try {
    return readdirSync(root + folder)
      .map((name) => join(folder, name))
      .find((path) => leadsTo(root + path, status))
  } catch {
    return undefined
  }
}
