/**
 * Connections within a tree that is killed once its image is safe: closed in repair mode they leave nothing behind (TIME_WAIT, a last
 * segment), so that the tree can be restored at once where its ports are the host's.
 */
import { closeSync } from 'node:fs'
import { native } from '../../../native/index.js'
import type { ImageModel } from '../../image/model.js'
import { intBytes, IPPROTO_TCP } from '../socket/option-table.js'

const TCP_REPAIR = 19
const inside = new Set(['tcp_connection', 'tcp_waiting'])

/**
 * Duplicates of the connections, taken while the tree stands still. When the tree is gone they are the last; if the dumper dies before that, nothing
 * was changed.
 * @param pidfds of the image's processes
 */
export function takeConnections(image: ImageModel, pidfds: readonly number[]): number[] {
  const ids = new Set(image.descriptions.filter(({ kind }) => inside.has(kind)).map(({ id }) => id))
  return image.processes.flatMap(({ descriptors }, index) => {
    const pidfd = pidfds[index]
    if (pidfd === undefined) return []
    return descriptors.flatMap(({ fd, description }) => (ids.delete(description) ? [native.pidfdGetfd(pidfd, fd)] : []))
  })
}

/** The tree must be gone. */
export function closeSilently(connections: readonly number[]): void {
  for (const fd of connections) {
    try {
      native.setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, intBytes(1))
    } catch {
      // It has been closed by its peer meanwhile.
    }
  }
  for (const fd of connections) closeSync(fd)
}
