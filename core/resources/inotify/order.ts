/** Which events can be made to happen anew, and in which order. */
import {
  IN_ACCESS,
  IN_ATTRIB,
  IN_CLOSE_NOWRITE,
  IN_CLOSE_WRITE,
  IN_CREATE,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_IGNORED,
  IN_MODIFY,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_MOVE_SELF,
  IN_OPEN,
  IN_Q_OVERFLOW,
  isSameEvent,
  kindOfEvent,
} from './event.js'
import type { InotifyEvent } from './event.js'

const happening: ReadonlySet<number> = new Set([
  IN_ACCESS,
  IN_MODIFY,
  IN_ATTRIB,
  IN_CLOSE_WRITE,
  IN_CLOSE_NOWRITE,
  IN_OPEN,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_CREATE,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_MOVE_SELF,
  IN_Q_OVERFLOW,
  IN_IGNORED,
])
export const ofEntries: number = IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE
const ofWatched = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED

/** Whether an event can be made to happen. */
export function canHappen(event: InotifyEvent): boolean {
  const kind = kindOfEvent(event)
  if (!happening.has(kind)) return false
  const isNamed = event.name.length > 0
  return (!isNamed || (kind & (ofWatched | IN_Q_OVERFLOW)) === 0) && (isNamed || (kind & ofEntries) === 0)
}

/** Whether the second happens along with the first: a folder, or file, that goes takes its watches with it, and a rename has two ends. */
export function isHalfOf(first: InotifyEvent, second: InotifyEvent): boolean {
  const [kind, other] = [kindOfEvent(first), kindOfEvent(second)]
  if (kind === IN_DELETE_SELF) return other === IN_IGNORED && first.descriptor === second.descriptor
  return kind === IN_MOVED_FROM && other === IN_MOVED_TO && first.cookie === second.cookie && first.mask - kind === second.mask - other
}

/**
 * Events in the order in which they can be made to happen. What happens at once is told of at once: between its halves are at most events that
 * came at the same time, in no order. Like neighbours are one, as the kernel has it, and an overflow is told of once.
 */
export function inOrder(events: readonly InotifyEvent[]): InotifyEvent[] {
  const ordered: InotifyEvent[] = []
  const taken = new Set<InotifyEvent>()
  const add = (event: InotifyEvent): void => {
    const previous = ordered.at(-1)
    const isLike = previous !== undefined && kindOfEvent(event) !== IN_IGNORED && isSameEvent(previous, event)
    if (!isLike) ordered.push(event)
  }
  events.forEach((event, i) => {
    const kind = kindOfEvent(event)
    if (taken.has(event) || (kind === IN_Q_OVERFLOW && ordered.some((other) => kindOfEvent(other) === IN_Q_OVERFLOW))) return
    add(event)
    if (kind !== IN_DELETE_SELF && kind !== IN_MOVED_FROM) return
    const half = events.slice(i + 1).find((other) => isHalfOf(event, other))
    if (half === undefined) return
    taken.add(half)
    add(half)
  })
  return ordered
}
