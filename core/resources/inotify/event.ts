/** Events as read(2) gives them (struct inotify_event of linux/inotify.h). */

export interface InotifyEvent {
  /** Number of the watch; -1 for an overflow. */
  descriptor: number
  mask: number
  /** The same in both halves of a rename, else 0. */
  cookie: number
  /** Of what is in the watched folder; empty for what is watched itself. */
  name: Uint8Array
}

export const IN_ACCESS = 0x1
export const IN_MODIFY = 0x2
export const IN_ATTRIB = 0x4
export const IN_CLOSE_WRITE = 0x8
export const IN_CLOSE_NOWRITE = 0x10
export const IN_OPEN = 0x20
export const IN_MOVED_FROM = 0x40
export const IN_MOVED_TO = 0x80
export const IN_CREATE = 0x100
export const IN_DELETE = 0x200
export const IN_DELETE_SELF = 0x400
export const IN_MOVE_SELF = 0x800
export const IN_UNMOUNT = 0x2000
export const IN_Q_OVERFLOW = 0x4000
export const IN_IGNORED = 0x8000
export const IN_DONT_FOLLOW = 0x0200_0000
export const IN_ISDIR = 0x4000_0000

/** _IOW('I', 0, __s32), since Linux 4.16, with CONFIG_CHECKPOINT_RESTORE: the number that the next watch gets. Takes it by value. */
export const INOTIFY_IOC_SETNEXTWD = 0x4004_4900

export const OVERFLOW: InotifyEvent = { descriptor: -1, mask: IN_Q_OVERFLOW, cookie: 0, name: new Uint8Array() }

/** What happened, without whether it was to a folder. */
export const kindOfEvent = ({ mask }: InotifyEvent): number => mask & ~IN_ISDIR

export const isOfFolder = ({ mask }: InotifyEvent): boolean => (mask & IN_ISDIR) !== 0

/** Bytes of an event without a name. A name, with the NUL behind it, is filled up to a multiple of that. */
export const EVENT_BYTES = 16

/** Of all of them, as read(2) gives them. */
export const encodedBytes = (events: readonly InotifyEvent[]): number =>
  events.reduce(
    (sum, { name }) => sum + EVENT_BYTES + (name.length === 0 ? 0 : Math.ceil((name.length + 1) / EVENT_BYTES) * EVENT_BYTES),
    0,
  )

export function decodeEvents(bytes: Uint8Array): InotifyEvent[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const events: InotifyEvent[] = []
  for (let at = 0; at < bytes.length;) {
    const end = at + EVENT_BYTES + view.getUint32(at + 12, true)
    const padded = bytes.slice(at + EVENT_BYTES, end)
    const nameEnd = padded.indexOf(0)
    events.push({
      descriptor: view.getInt32(at, true),
      mask: view.getUint32(at + 4, true),
      cookie: view.getUint32(at + 8, true),
      name: nameEnd < 0 ? padded : padded.subarray(0, nameEnd),
    })
    at = end
  }
  return events
}

const keyOf = ({ descriptor, mask, cookie, name }: InotifyEvent): string =>
  `${descriptor} ${mask} ${cookie} ${Buffer.from(name).toString('latin1')}`

export const isSameEvent = (a: InotifyEvent, b: InotifyEvent): boolean => keyOf(a) === keyOf(b)

/** What two queues have heard, one after the other, of which the end of the first and the start of the second may be the same events. */
export function joinEvents(first: readonly InotifyEvent[], second: readonly InotifyEvent[]): InotifyEvent[] {
  return [...first, ...second.slice(overlapOf(first.map(keyOf), second.map(keyOf)))]
}

/** How many at the end of one are the start of the other (Knuth, Morris and Pratt): there may be many, and much alike. */
function overlapOf(text: readonly string[], pattern: readonly string[]): number {
  const borders: number[] = [0]
  const next = (matched: number, key: string | undefined): number => {
    let length = matched
    while (length > 0 && (length === pattern.length || pattern[length] !== key)) length = borders[length - 1] ?? 0
    return pattern[length] === key ? length + 1 : 0
  }
  for (let i = 1; i < pattern.length; i++) borders.push(next(borders[i - 1] ?? 0, pattern[i]))
  return pattern.length === 0 ? 0 : text.reduce(next, 0)
}
