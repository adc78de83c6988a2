/** Which descriptions are POSIX message queues: files of a file system that is mounted nowhere, as far as the link tells. */
import { native } from '../../../native/index.js'
import type { SeenDescription } from '../description.js'
import { O_PATH, S_IFMT, S_IFREG } from '../open-flags.js'

/** fstatfs(2): struct statfs begins with the type. */
const STATFS_BYTES = 120
const MQUEUE_MAGIC = 0x1980_0202n

export const DELETED: RegExp = / \(deleted\)$/

export function isMessageQueue(seen: SeenDescription): boolean {
  const { status, info, link } = seen
  if ((status.mode & S_IFMT) !== S_IFREG || (info.flags & O_PATH) !== 0 || !/^\/[^/]+$/.test(link)) return false
  const about = new Uint8Array(STATFS_BYTES)
  native.syscall('fstatfs', [seen.duplicate(), about])
  return new DataView(about.buffer).getBigInt64(0, true) === MQUEUE_MAGIC
}

/** Without the slash. */
export const nameOf = ({ link }: SeenDescription): string => link.slice(1).replace(DELETED, '')
