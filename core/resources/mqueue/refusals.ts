/** What of a POSIX message queue cannot be carried. */
import { closeSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'
import { native } from '../../../native/index.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { refusal } from '../refusal.js'
import { findOutside } from '../tree-now.js'
import { DELETED, isMessageQueue, nameOf } from './recognition.js'

const CONTENT_BYTES = 256

/** Messages can only be taken out. Of who is to be notified, a queue does not tell with which value. */
export function refuseWhatIsThere(seen: SeenDescription, waiting: number): void {
  const is = `is the POSIX message queue ${seen.link}`
  if (waiting > 0) throw refusal(seen, 'THAW_MQUEUE_DATA', `${is}, with ${waiting} messages`, 'Let them be received before the checkpoint.')
  // Closing it again is no business of whoever is to be notified: only their own closing is.
  const fd = openSync(`/proc/${seen.process.pid}/fd/${seen.fd}`, 'r')
  try {
    const text = Buffer.alloc(CONTENT_BYTES)
    const isSet = /(NOTIFY|SIGNO|NOTIFY_PID):[1-9]/.test(text.toString('latin1', 0, readSync(fd, text, 0, text.length, 0)))
    if (isSet) throw refusal(seen, 'THAW_MQUEUE_NOTIFY', `${is}, whose messages somebody is to be notified of`, 'Remove that (mq_notify).')
  } finally {
    closeSync(fd)
  }
}

/** In the dumper's IPC namespace anybody may have it. */
export function refuseOthers(seen: SeenDescription, tree: SeenTree): void {
  const other = findOutside(tree, (pid) => hasOpen(pid, seen))
  if (other === undefined) return
  throw refusal(
    seen,
    'THAW_MQUEUE_SHARED',
    `is the POSIX message queue ${seen.link}, which pid ${other} has open, too`,
    'Close it there, or run the fixture in an IPC namespace of its own.',
  )
}

/** Both cannot be made by that name. */
export function refuseSameName(seen: SeenDescription, tree: SeenTree): void {
  const name = nameOf(seen)
  const isOther = (other: SeenDescription): boolean => nameOf(other) === name && other.status.inode !== seen.status.inode
  if (!DELETED.test(seen.link) || !tree.descriptions.some((other) => isOther(other) && isMessageQueue(other))) return
  throw refusal(
    seen,
    'THAW_MQUEUE_NAME',
    `is the POSIX message queue ${seen.link}, whose name another one has by now`,
    'Close it in the warm-up.',
  )
}

function hasOpen(pid: number, { link, status }: SeenDescription): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      const path = `/proc/${pid}/fd/${fd}`
      if (readlinkSync(path) !== link) return false
      const { device, inode } = native.statPath(path)
      return device === status.device && inode === status.inode
    })
  } catch {
    // It has ended, or is another user's.
    return false
  }
}
