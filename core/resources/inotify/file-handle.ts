/** Names of inodes that outlive paths (name_to_handle_at(2), open_by_handle_at(2)). */
import { closeSync, readlinkSync } from 'node:fs'
import { native } from '../../../native/index.js'
import { AT_FDCWD, O_CLOEXEC, O_PATH, O_RDONLY } from '../open-flags.js'

const HEADER_BYTES = 8
const MOST_HANDLE_BYTES = 128
/** Since Linux 6.5: a handle to compare, which every file system can give. */
const AT_HANDLE_FID = 0x200

export interface PathHandle {
  /** `type:bytes`; empty where there is none. */
  readonly handle: string
  readonly mountId: number
}

/** Of the last component itself, if that is a symbolic link. Undefined where nothing stands at the path. */
export function handleOf(path: string): PathHandle | undefined {
  const buffer = new Uint8Array(HEADER_BYTES + MOST_HANDLE_BYTES)
  const view = new DataView(buffer.buffer)
  view.setUint32(0, MOST_HANDLE_BYTES, true)
  const mountId = new Uint8Array(4)
  try {
    native.syscall('name_to_handle_at', [AT_FDCWD, Buffer.from(`${path}\0`), buffer, mountId, AT_HANDLE_FID])
  } catch {
    return undefined
  }
  const bytes = buffer.subarray(HEADER_BYTES, HEADER_BYTES + view.getUint32(0, true))
  return { handle: `${view.getInt32(4, true)}:${Buffer.from(bytes).toString('hex')}`, mountId: new Int32Array(mountId.buffer)[0] ?? 0 }
}

/**
 * The path of an inode, from the root of this mount namespace; for who has CAP_DAC_READ_SEARCH where the file system was mounted. Undefined
 * for anybody else, and for an inode that no name is known of.
 *
 * @param mount any folder of its file system
 */
export function pathOfHandle(mount: string, handle: string): string | undefined {
  const [type = '', hex = ''] = handle.split(':')
  const bytes = Buffer.from(hex, 'hex')
  const buffer = new Uint8Array(HEADER_BYTES + bytes.length)
  new DataView(buffer.buffer).setUint32(0, bytes.length, true)
  new DataView(buffer.buffer).setInt32(4, Number(type), true)
  buffer.set(bytes, HEADER_BYTES)
  const owned: number[] = []
  try {
    owned.push(native.open(mount, O_RDONLY | O_CLOEXEC))
    owned.push(Number(native.syscall('open_by_handle_at', [owned[0] ?? -1, buffer, O_PATH | O_CLOEXEC])))
    return readlinkSync(`/proc/self/fd/${owned[1]}`)
  } catch {
    return undefined
  } finally {
    for (const fd of owned) closeSync(fd)
  }
}
