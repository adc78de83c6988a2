/** The queue of an inotify instance of this process: how much is in it, what, and how much it takes. */
import { closeSync, openSync, readSync } from 'node:fs'
import { native } from '../../../native/index.js'
import { O_CREAT, O_RDWR } from '../open-flags.js'
import { decodeEvents, EVENT_BYTES, IN_ACCESS, IN_MODIFY, IN_Q_OVERFLOW, kindOfEvent, OVERFLOW } from './event.js'
import type { InotifyEvent } from './event.js'

const FIONREAD = 0x541b
const TURNS = 256

export function bytesIn(fd: number): number {
  const waiting = new Uint8Array(4)
  native.ioctl(fd, FIONREAD, waiting)
  return new Int32Array(waiting.buffer)[0] ?? 0
}

/** Takes what is there, and not what comes meanwhile. */
export function drain(fd: number): InotifyEvent[] {
  const buffer = new Uint8Array(bytesIn(fd))
  return buffer.length === 0 ? [] : decodeEvents(buffer.subarray(0, readSync(fd, buffer)))
}

/** As a queue would be that has heard of all this: what there is no place for is lost, of which it is told. */
export function withinLimit(events: readonly InotifyEvent[], limit: number): InotifyEvent[] {
  if (events.length <= limit) return [...events]
  return [...events.filter((event) => kindOfEvent(event) !== IN_Q_OVERFLOW).slice(0, limit), OVERFLOW]
}

/**
 * How many events it takes before it overflows: what fs.inotify.max_queued_events was when it was made. Found out by having it overflow, in the
 * working directory; empty before, and afterwards.
 */
export function limitOf(fd: number): number {
  const waiting = overflow(fd)
  drain(fd)
  return waiting / EVENT_BYTES - 1
}

/** Leaves it told of nothing but that. */
export function leaveOverflown(fd: number): void {
  const noise = overflow(fd) - EVENT_BYTES
  readSync(fd, new Uint8Array(noise))
}

/** @returns bytes in it, the last event of which is that it has overflowed */
function overflow(fd: number): number {
  const [file, byte] = [openSync('limit', O_CREAT | O_RDWR), new Uint8Array(1)]
  native.syscall('pwrite64', [file, byte, 1, 0])
  const watch = native.syscall('inotify_add_watch', [fd, Buffer.from('limit\0'), IN_ACCESS | IN_MODIFY])
  try {
    for (let before = -1; ;) {
      const now = bytesIn(fd)
      if (now === before) return now
      before = now
      for (let i = 0; i < TURNS; i++) for (const name of ['pread64', 'pwrite64']) native.syscall(name, [file, byte, 1, 0])
    }
  } finally {
    // Of that, it is not told any more.
    native.syscall('inotify_rm_watch', [fd, watch])
    closeSync(file)
  }
}
