/** Events that nobody wants, of a file of our own in the working directory, which fill a queue. */
import { AT_FDCWD, O_CREAT, O_RDWR } from '../open-flags.js'
import { pathBytes } from './calls.js'
import type { Calls } from './calls.js'
import { EVENT_BYTES, IN_ACCESS, IN_ATTRIB, INOTIFY_IOC_SETNEXTWD } from './event.js'
import { timesFor } from './times.js'

const MODE = 0o700

/** By two: what is read in a watched folder is an event of both, and neither is like the one before, which would have it left out. */
export class Noise<R> {
  readonly #calls: Calls<R>
  readonly #queue: R
  readonly #descriptor: number
  readonly #file: R
  readonly #byte = new Uint8Array(1)

  /** @param descriptor a number that no watch has, nor the one behind it */
  constructor(calls: Calls<R>, queue: R, descriptor: number) {
    this.#calls = calls
    this.#queue = queue
    this.#descriptor = descriptor
    calls.call('mkdirat', [AT_FDCWD, pathBytes(NOISE), MODE])
    this.#file = calls.call('openat', [AT_FDCWD, pathBytes(NOISE_FILE), O_CREAT | O_RDWR, MODE])
    calls.call('pwrite64', [this.#file, this.#byte, 1, 0])
    calls.call('ioctl', [queue, INOTIFY_IOC_SETNEXTWD, descriptor])
    calls.call('inotify_add_watch', [queue, pathBytes(NOISE), IN_ACCESS | IN_ATTRIB], descriptor)
    calls.call('inotify_add_watch', [queue, pathBytes(NOISE_FILE), IN_ACCESS], descriptor + 1)
  }

  make(count: number): void {
    this.#calls.repeat(Math.floor(count / 2), () => this.#read())
    if (count % 2 === 1) this.#calls.call('utimensat', [AT_FDCWD, pathBytes(NOISE_FILE), timesFor(IN_ATTRIB), 0])
  }

  /** Until there is no room. @param room for how many events */
  overflow(room: number): void {
    this.#calls.repeat(Math.floor(room / 2) + 1, () => this.#read())
  }

  end(): void {
    for (const descriptor of [this.#descriptor, this.#descriptor + 1]) this.#calls.call('inotify_rm_watch', [this.#queue, descriptor])
    this.#calls.call('close', [this.#file])
  }

  #read(): void {
    this.#calls.call('pread64', [this.#file, this.#byte, 1, 0], 1)
  }
}

const NOISE = 'noise'
const NOISE_FILE = 'noise/f'

/** Of the first so many: the folder's with a name, the file's without. */
export const noiseBytes = (count: number): number => Math.floor(count / 2) * 3 * EVENT_BYTES + (count % 2) * 2 * EVENT_BYTES
