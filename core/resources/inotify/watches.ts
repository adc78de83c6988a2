/** The watches of an inotify instance of this process, which are taken away for a moment. */
import { closeSync, readFileSync } from 'node:fs'
import { native } from '../../../native/index.js'
import { O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK, O_PATH } from '../open-flags.js'
import { IN_UNMOUNT, INOTIFY_IOC_SETNEXTWD } from './event.js'
import { drain, leaveOverflown } from './queue.js'
import { parseWatch } from './watch-line.js'
import type { SeenWatch } from './watch-line.js'

export interface GivenWatch {
  readonly descriptor: number
  readonly mask: number
  /** As this process sees it. */
  readonly path: string
}

interface HeldWatch extends GivenWatch {
  readonly file: number
}

const HERE = Buffer.from('.\0')

export class Watches implements Disposable {
  readonly #fd: number
  readonly #held: HeldWatch[] = []
  readonly #seen: ReadonlyMap<number, SeenWatch>
  #next = 0
  /** Numbers of those that were taken away, and of one that was there for a moment only. */
  readonly removed: Set<number> = new Set()

  /** Holds what is watched. @param given in the order in which they are added */
  constructor(fd: number, given: readonly GivenWatch[]) {
    this.#fd = fd
    this.#seen = seenOf(fd)
    try {
      for (const watch of given) this.#held.push({ ...watch, file: native.open(watch.path, O_PATH | O_NOFOLLOW | O_CLOEXEC) })
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  /** Another instance with the same watches, so that nothing that happens is missed. Nothing of it is an event. */
  listen(): Disposable & { readonly fd: number } {
    const fd = Number(native.syscall('inotify_init1', [O_CLOEXEC | O_NONBLOCK]))
    const second = { fd, [Symbol.dispose]: () => closeSync(fd) }
    try {
      this.#addTo(fd)
      const seen = seenOf(fd)
      for (const { descriptor, path } of this.#held)
        if (!isSame(seen.get(descriptor), this.#seen.get(descriptor)))
          throw new Error(`what is watched is not what stands at ${path} any more`)
      return second
    } catch (error) {
      second[Symbol.dispose]()
      throw error
    }
  }

  /** @returns the number that the next watch is to get */
  remove(): number {
    const next = Number(native.syscall('inotify_add_watch', [this.#fd, HERE, IN_UNMOUNT]))
    this.#next = next
    this.#remove(next)
    const gone = this.#held.filter(({ descriptor }) => !this.#remove(descriptor))
    for (const watch of gone) this.#forget(watch)
    return next
  }

  /** @returns whether it was there: somebody may just have deleted what was watched */
  #remove(descriptor: number): boolean {
    try {
      native.syscall('inotify_rm_watch', [this.#fd, descriptor])
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EINVAL') return false
      throw error
    }
    this.removed.add(descriptor)
    return true
  }

  #forget(watch: HeldWatch): void {
    this.#held.splice(this.#held.indexOf(watch), 1)
    closeSync(watch.file)
  }

  add(next: number): void {
    this.#addTo(this.#fd)
    if (next > 0) native.syscall('ioctl', [this.#fd, INOTIFY_IOC_SETNEXTWD, next])
  }

  /** Whatever there is in its place: the watches are as they were, and of what was in the queue it is told that it was lost. */
  giveUp(): void {
    for (const [descriptor, watch] of seenOf(this.#fd))
      if (!isSame(watch, this.#seen.get(descriptor))) native.syscall('inotify_rm_watch', [this.#fd, descriptor])
    drain(this.#fd)
    leaveOverflown(this.#fd)
    this.add(this.#next)
  }

  #addTo(fd: number): void {
    for (const { descriptor, mask, file } of this.#held) {
      native.syscall('ioctl', [fd, INOTIFY_IOC_SETNEXTWD, descriptor])
      const got = native.syscall('inotify_add_watch', [fd, Buffer.from(`/proc/self/fd/${file}\0`), mask])
      if (got !== BigInt(descriptor)) throw new Error(`a watch got the number ${got} instead of ${descriptor}`)
    }
  }

  [Symbol.dispose](): void {
    for (const { file } of this.#held.splice(0)) closeSync(file)
  }
}

function seenOf(fd: number): ReadonlyMap<number, SeenWatch> {
  const lines = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').split('\n')
  return new Map(lines.flatMap((line) => parseWatch(line) ?? []).map((watch) => [watch.descriptor, watch]))
}

const isSame = (a: SeenWatch | undefined, b: SeenWatch | undefined): boolean =>
  a !== undefined && b !== undefined && a.inode === b.inode && a.device === b.device && a.handle === b.handle
