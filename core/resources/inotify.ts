/**
 * inotify(7). A watch belongs to an inode, not to a name: any path that leads to the inode does. Nothing can be written to the queue of events: they are
 * made to happen anew, see inotify/fill.ts.
 */
import { closeSync, readFileSync } from 'node:fs'
import { native } from '../../native/index.js'
import { RestoreError } from '../errors.js'
import type { Program } from '../program/program.js'
import { defineKind } from './description.js'
import type { DescriptionKind, Emitter, SeenDescription } from './description.js'
import { callsOf } from './inotify/calls.js'
import { IN_DONT_FOLLOW, IN_Q_OVERFLOW, INOTIFY_IOC_SETNEXTWD, kindOfEvent } from './inotify/event.js'
import type { InotifyEvent } from './inotify/event.js'
import { fillQueue } from './inotify/fill.js'
import { canHappen, inOrder } from './inotify/order.js'
import { bytesIn } from './inotify/queue.js'
import { takeEvents } from './inotify/take.js'
import { parseWatch } from './inotify/watch-line.js'
import { watchedPath } from './inotify/watched-path.js'
import { O_ASYNC, O_CLOEXEC, O_NONBLOCK } from './open-flags.js'
import { refusal } from './refusal.js'

export interface Inotify {
  /** In the order in which they are added: fdinfo prints the newest first. */
  watches: InotifyWatch[]
  /** That were not read. */
  events: InotifyEvent[]
  /** The number of the next watch, which is found out only along with events; else 0. */
  next: number
}

export interface InotifyWatch {
  descriptor: number
  /** As the process that it is armed in sees it. */
  path: string
  mask: number
}

const LINK = 'anon_inode:inotify'
const LIMIT = '/proc/sys/fs/inotify/max_queued_events'
const LONGEST_NAME = 255
const CLONE_NEWNS = 0x2_0000
const FSCONFIG_CMD_CREATE = 6
const WALL = 0x4000_0000

export const inotify: DescriptionKind<unknown> = defineKind<Inotify>({
  name: 'inotify',
  support: {
    topic: 'descriptors',
    carried: 'inotify, with events that were not read',
    conditions: [
      'The next watch of an inotify instance without unread events gets the number behind its highest; where a higher one was removed before, a number comes again.',
      'Events of an inotify instance that were not read are taken out and put back by a process of our own, in some tenths of a second: who is told of changes only (EPOLLET) is told of them again. Both halves of a rename have a new cookie then, the same as long as both are in the queue; what came at the same instant may change places; a queue that is full to its last place has overflowed. What others do meanwhile to what is watched may be told of twice; where they do it all the time, or where an event cannot be put back (as of an unmount), the checkpoint is refused and the queue overflows, which says that something was lost. If the dumper is killed in the midst of it, the tree may find the queue empty, or in it an overflow or watches that it does not know, until all is put back.',
    ],
    refused: {
      THAW_INOTIFY_EVENTS:
        'inotify events that were not read, of an instance of which signals tell (`O_ASYNC`), or that cannot be put back',
      THAW_INOTIFY_KERNEL: 'inotify on kernels whose watches cannot get their numbers again',
      THAW_INOTIFY_PATH: 'watches of what no path is found to',
    },
  },

  recognises: ({ link }) => link === LINK,

  collect(seen, tree) {
    refuseWithoutNumbers(seen)
    const seenWatches = seen.info.lines.flatMap((line) => parseWatch(line) ?? [])
    const found = seenWatches.map((watch) => ({ descriptor: watch.descriptor, path: watchedPath(watch, seen, tree), mask: watch.mask }))
    const watches = found.toReversed()
    const payload: Inotify = { watches, events: [], next: 0 }
    refuseSignals(seen)
    // Last, as it may be news for who is asked.
    tree.afterwards(() => {
      if (bytesIn(seen.duplicate()) > 0) Object.assign(payload, takeEvents(seen, watches))
    })
    return payload
  },

  verify({ events, next }, _, require) {
    for (const event of events) {
      const place = `event 0x${event.mask.toString(16)} of watch ${event.descriptor}`
      require(canHappen(event), `has ${place}, which is none`)
      require(kindOfEvent(event) === IN_Q_OVERFLOW
        ? event.descriptor === -1
        : event.descriptor > 0, `has ${place}, which is no number of a watch`)
      require(event.name.length <= LONGEST_NAME && isEntry(event.name), `has ${place} with an impossible name`)
    }
    require(next >= 0, 'gives its next watch a number below 0')
  },

  open: (_, emitter) => emitter.raise(emitter.program.call('inotify_init1', [O_CLOEXEC | O_NONBLOCK])),

  connect({ events }, emitter, self) {
    if (events.length === 0) return
    const limit = queueLimit(events.length)
    emitter.program.for('events that were not read', () => {
      const child = emitter.passing((program) => {
        emitFolder(program, emitter)
        fillQueue(callsOf(program), self, limit, inOrder(events))
        program.call('exit', [0])
      })
      emitter.program.call('wait4', [child, 0, WALL, 0])
    })
  },

  // Not before: files that the restore opens, makes and removes would be events.
  arm({ watches, events, next: following }, { program }, placements, self) {
    const fd = placements[0]?.fd ?? self
    const setNext = (descriptor: number): unknown => program.call('ioctl', [fd, INOTIFY_IOC_SETNEXTWD, descriptor])
    let next = events.length > 0 ? 0 : 1
    for (const { descriptor, path, mask } of watches) {
      if (descriptor !== next) setNext(descriptor)
      const flags = mask | IN_DONT_FOLLOW
      program.for(`watch of ${path}`, () =>
        program.call('inotify_add_watch', [fd, program.bundle.string(path), flags], { equal: descriptor }),
      )
      next = descriptor + 1
    }
    const wanted = following > 0 ? following : 1 + Math.max(0, ...watches.map(({ descriptor }) => descriptor))
    if (wanted !== next) setNext(wanted)
  },
})

const isEntry = (name: Uint8Array): boolean =>
  !name.includes(0) && !name.includes(0x2f) && !['.', '..'].includes(Buffer.from(name).toString())

/** The working directory of a process that passes becomes an empty folder which nobody else sees, and which is gone with it. */
function emitFolder(program: Program, { ownMounts }: Emitter): void {
  if (!ownMounts) program.call('unshare', [CLONE_NEWNS])
  const context = program.call('fsopen', [program.bundle.string('tmpfs'), 0])
  program.call('fsconfig', [context, FSCONFIG_CMD_CREATE, 0, 0, 0])
  program.call('fchdir', [program.call('fsmount', [context, 0, 0])])
}

function queueLimit(events: number): number {
  const limit = Number(readFileSync(LIMIT, 'utf8'))
  if (events <= limit + 1) return limit
  throw new RestoreError(
    'THAW_INOTIFY_LIMIT',
    `Cannot restore: an inotify instance has ${events} events that were not read, and fs.inotify.max_queued_events is ${limit} here. Raise that.`,
  )
}

/** Each event that is put back would send one. */
function refuseSignals(seen: SeenDescription): void {
  if ((seen.info.flags & O_ASYNC) === 0 || bytesIn(seen.duplicate()) === 0) return
  throw refusal(
    seen,
    'THAW_INOTIFY_EVENTS',
    'is an inotify instance of which signals tell (O_ASYNC), with events that it has not read',
    'Let it read them before the checkpoint.',
  )
}

function refuseWithoutNumbers(seen: SeenDescription): void {
  if (watchesGetNumbers()) return
  throw refusal(
    seen,
    'THAW_INOTIFY_KERNEL',
    'is an inotify instance, whose watches could not get their numbers again on this kernel (CONFIG_CHECKPOINT_RESTORE)',
    'Close it in the warm-up.',
  )
}

let answer: boolean | undefined

/** Asked of an instance of our own. */
export function watchesGetNumbers(): boolean {
  if (answer !== undefined) return answer
  const fd = Number(native.syscall('inotify_init1', [O_CLOEXEC]))
  try {
    native.syscall('ioctl', [fd, INOTIFY_IOC_SETNEXTWD, 1])
    answer = true
  } catch {
    answer = false
  } finally {
    closeSync(fd)
  }
  return answer
}
