/**
 * Filling a queue of events that nothing can be written to: each event is made to happen, to files of our own, in the working directory, by watches
 * that have the numbers of those that are told of.
 *
 * Such a watch has to go again, of which the queue would be told, too (IN_IGNORED), behind all that it was filled with. It is not told while
 * it is full and has told of that (IN_Q_OVERFLOW) before. So it is first filled with noise until it overflows and emptied up to that one event;
 * then come noise again, and what is wanted, until it is full; the watches are taken away; and the noise, at the front, is read.
 */
import { AT_FDCWD, O_RDONLY, O_WRONLY, S_IFREG } from '../open-flags.js'
import { pathBytes } from './calls.js'
import type { Calls } from './calls.js'
import {
  EVENT_BYTES,
  IN_CLOSE_NOWRITE,
  IN_CLOSE_WRITE,
  IN_CREATE,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_DONT_FOLLOW,
  IN_IGNORED,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_MOVE_SELF,
  IN_OPEN,
  IN_Q_OVERFLOW,
  IN_UNMOUNT,
  INOTIFY_IOC_SETNEXTWD,
  isOfFolder,
  kindOfEvent,
  OVERFLOW,
} from './event.js'
import type { InotifyEvent } from './event.js'
import { Noise, noiseBytes } from './noise.js'
import { isHalfOf, ofEntries } from './order.js'
import { timesFor } from './times.js'

const AT_SYMLINK_NOFOLLOW = 0x100
const AT_REMOVEDIR = 0x200
const MODE = 0o700

/** What stands in for a file or folder that events tell of. */
interface StandIn {
  readonly path: string
  readonly isFolder: boolean
  readonly descriptor: number
}

/**
 * @param queue of an inotify instance that is empty and has no watches
 * @param limit how many events it takes (fs.inotify.max_queued_events when it was made), at least two
 * @param events in the order that `inOrder` gives
 */
export function fillQueue<R>(calls: Calls<R>, queue: R, limit: number, events: readonly InotifyEvent[]): void {
  if (events.length === 0) return
  new Filling(calls, queue, events).fill(limit)
}

class Filling<R> {
  readonly #calls: Calls<R>
  readonly #queue: R
  readonly #events: readonly InotifyEvent[]
  readonly #noise: Noise<R>
  readonly #standIns = new Map<number, StandIn>()
  #count = 0

  constructor(calls: Calls<R>, queue: R, events: readonly InotifyEvent[]) {
    this.#calls = calls
    this.#queue = queue
    this.#events = events
    this.#noise = new Noise(calls, queue, 1 + Math.max(0, ...events.map(({ descriptor }) => descriptor)))
  }

  fill(limit: number): void {
    const overflow = this.#events.findIndex((event) => kindOfEvent(event) === IN_Q_OVERFLOW)
    // One that is full to the last place has none for the event of which it is emptied here: it is told of as one that has overflowed.
    if (overflow < 0 && this.#events.length < limit) this.#fillToPlace(limit)
    else this.#fillToOverflow(limit, overflow < 0 ? this.#events.length : overflow)
  }

  #fillToPlace(limit: number): void {
    const noise = limit - 1 - this.#events.length
    this.#noise.overflow(limit)
    this.#calls.discard(this.#queue, noiseBytes(limit))
    this.#noise.make(noise)
    this.#tell(0, this.#events.length)
    this.#takeWatchesAway()
    this.#calls.discard(this.#queue, EVENT_BYTES + noiseBytes(noise))
  }

  /** The event that is wanted is the one that does it. @param overflow its place */
  #fillToOverflow(limit: number, overflow: number): void {
    const noise = limit - overflow
    const after = Math.max(0, this.#events.length - overflow - 1)
    const room = after === 0 ? 0 : after + 1
    this.#noise.make(noise)
    this.#tell(0, overflow)
    this.#noise.overflow(0)
    this.#calls.discard(this.#queue, noiseBytes(room))
    this.#tell(overflow + 1, this.#events.length)
    this.#takeWatchesAway()
    this.#calls.discard(this.#queue, noiseBytes(noise) - noiseBytes(room))
  }

  #takeWatchesAway(): void {
    for (const { descriptor } of this.#standIns.values()) this.#call('inotify_rm_watch', this.#queue, descriptor)
    this.#noise.end()
  }

  #tell(start: number, end: number): void {
    for (let i = start; i < end; i++) {
      const [event, next] = this.#events.slice(i, i + 2)
      if (event === undefined) return
      const follows = next !== undefined && i + 1 < end && isHalfOf(event, next) ? next : undefined
      this.#happen(event, this.#standInFor(i), follows === undefined ? undefined : { event: follows, standIn: this.#standInFor(i + 1) })
      if (follows !== undefined) i++
    }
  }

  /** @param other what happens along with it */
  #happen(event: InotifyEvent, standIn: StandIn, other: { event: InotifyEvent; standIn: StandIn } | undefined): void {
    const kind = kindOfEvent(event)
    if (kind === IN_IGNORED) this.#end(standIn, () => this.#call('inotify_rm_watch', this.#queue, standIn.descriptor))
    else if (kind === IN_DELETE_SELF) this.#deleteSelf(standIn)
    else if (kind === IN_MOVE_SELF) this.#moveSelf(standIn)
    else if ((kind & ofEntries) === 0) this.#touch(event, standIn)
    else if (other === undefined) this.#changeEntry(event, standIn)
    else this.#move(event, standIn, other)
  }

  #end({ descriptor }: StandIn, how: () => void): void {
    how()
    this.#standIns.delete(descriptor)
  }

  #deleteSelf(standIn: StandIn): void {
    this.#setMask(standIn, IN_DELETE_SELF)
    this.#end(standIn, () => this.#remove(standIn.path, standIn.isFolder))
  }

  #moveSelf(standIn: StandIn): void {
    const elsewhere = { ...standIn, path: `${standIn.path} moved` }
    this.#setMask(standIn, IN_MOVE_SELF)
    this.#rename(standIn.path, elsewhere.path)
    this.#setMask(elsewhere, QUIET)
    this.#rename(elsewhere.path, standIn.path)
  }

  /** What may happen to what is watched, and to what is in it. */
  #touch(event: InotifyEvent, standIn: StandIn): void {
    const kind = kindOfEvent(event)
    const entry = event.name.length > 0 ? entryOf(standIn, event) : undefined
    const path = pathBytes(entry ?? standIn.path)
    const open = (flags: number): R => this.#calls.call('openat', [AT_FDCWD, path, flags, 0])
    if (entry !== undefined) this.#make(entry, isOfFolder(event))
    if (kind === IN_OPEN) {
      this.#call(
        'close',
        this.#watching([[standIn, kind]], () => open(O_RDONLY)),
      )
    } else if (kind === IN_CLOSE_NOWRITE || kind === IN_CLOSE_WRITE) {
      const fd = open(kind === IN_CLOSE_WRITE ? O_WRONLY : O_RDONLY)
      this.#watching([[standIn, kind]], () => this.#call('close', fd))
    } else {
      this.#watching([[standIn, kind]], () => this.#call('utimensat', AT_FDCWD, path, timesFor(kind), AT_SYMLINK_NOFOLLOW))
    }
    if (entry !== undefined) this.#remove(entry, isOfFolder(event))
  }

  #changeEntry(event: InotifyEvent, standIn: StandIn): void {
    const kind = kindOfEvent(event)
    const isFolder = isOfFolder(event)
    const entry = entryOf(standIn, event)
    const before = kind === IN_CREATE ? undefined : kind === IN_MOVED_TO ? LOOSE : entry
    const after = kind === IN_DELETE ? undefined : kind === IN_MOVED_FROM ? LOOSE : entry
    if (before !== undefined) this.#make(before, isFolder)
    this.#watching([[standIn, kind]], () => {
      if (before === undefined) this.#make(entry, isFolder)
      else if (after === undefined) this.#remove(entry, isFolder)
      else this.#rename(before, after)
    })
    if (after !== undefined) this.#remove(after, isFolder)
  }

  /** From one folder to another, or within one. */
  #move(from: InotifyEvent, source: StandIn, { event: to, standIn: target }: { event: InotifyEvent; standIn: StandIn }): void {
    const [before, after] = [entryOf(source, from), entryOf(target, to)]
    const masks: [StandIn, number][] =
      source === target
        ? [[source, IN_MOVED_FROM | IN_MOVED_TO]]
        : [
            [source, IN_MOVED_FROM],
            [target, IN_MOVED_TO],
          ]
    this.#make(before, isOfFolder(from))
    this.#watching(masks, () => this.#rename(before, after))
    this.#remove(after, isOfFolder(from))
  }

  /** @param i place of the event */
  #standInFor(i: number): StandIn {
    const { descriptor } = this.#events[i] ?? OVERFLOW
    const known = this.#standIns.get(descriptor)
    if (known !== undefined) return known
    const standIn = { path: `${this.#count++}`, isFolder: isFolder(this.#events.slice(i)), descriptor }
    this.#make(standIn.path, standIn.isFolder)
    this.#call('ioctl', this.#queue, INOTIFY_IOC_SETNEXTWD, descriptor)
    this.#setMask(standIn, QUIET)
    this.#standIns.set(descriptor, standIn)
    return standIn
  }

  #watching<T>(masks: readonly (readonly [StandIn, number])[], act: () => T): T {
    for (const [standIn, mask] of masks) this.#setMask(standIn, mask)
    const result = act()
    for (const [standIn] of masks) this.#setMask(standIn, QUIET)
    return result
  }

  #setMask({ path, descriptor }: StandIn, mask: number): void {
    this.#calls.call('inotify_add_watch', [this.#queue, pathBytes(path), mask | IN_DONT_FOLLOW], descriptor)
  }

  #make(path: string | Uint8Array, isFolder: boolean): void {
    if (isFolder) this.#call('mkdirat', AT_FDCWD, pathBytes(path), MODE)
    else this.#call('mknodat', AT_FDCWD, pathBytes(path), S_IFREG | MODE, 0)
  }

  #remove(path: string | Uint8Array, isFolder: boolean): void {
    this.#call('unlinkat', AT_FDCWD, pathBytes(path), isFolder ? AT_REMOVEDIR : 0)
  }

  #rename(from: string | Uint8Array, to: string | Uint8Array): void {
    this.#call('renameat', AT_FDCWD, pathBytes(from), AT_FDCWD, pathBytes(to))
  }

  #call(name: string, ...args: (number | Uint8Array | R)[]): void {
    this.#calls.call(name, args)
  }
}

/** The events of one watch tell. @param events those from its first on */
function isFolder([first, ...others]: readonly InotifyEvent[]): boolean {
  const own = [first, ...others].filter((event) => event?.descriptor === first?.descriptor)
  const end = own.findIndex((event) => event !== undefined && kindOfEvent(event) === IN_IGNORED)
  return own.slice(0, end < 0 ? undefined : end).some((event) => event !== undefined && (event.name.length > 0 || isOfFolder(event)))
}

/** What nothing that we do brings about. */
const QUIET = IN_UNMOUNT
const LOOSE = 'loose'

const entryOf = ({ path }: StandIn, { name }: InotifyEvent): Uint8Array => Buffer.concat([Buffer.from(`${path}/`), name])
