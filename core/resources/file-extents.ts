/** Where a file has data (lseek(2), SEEK_DATA and SEEK_HOLE): what was never written takes no room and reads as zeros. */
import { native } from '../../native/index.js'

const SEEK_DATA = 3
const SEEK_HOLE = 4

export interface Extent {
  readonly offset: bigint
  readonly sizeBytes: bigint
}

/** Of an open file, between two offsets. Moves its position. */
export function* extentsOf(fd: number, from: bigint, to: bigint): Generator<Extent> {
  for (let at = seek(fd, from, SEEK_DATA); at !== undefined && at < to; at = seek(fd, at, SEEK_DATA)) {
    const hole = seek(fd, at, SEEK_HOLE) ?? to
    const end = hole < to ? hole : to
    yield { offset: at, sizeBytes: end - at }
    at = end
    if (at >= to) return
  }
}

/** Undefined past the last data. */
function seek(fd: number, from: bigint, whence: number): bigint | undefined {
  try {
    return native.syscall('lseek', [fd, from, whence])
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENXIO') return undefined
    throw error
  }
}
