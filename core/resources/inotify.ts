/**
 * inotify(7). A watch belongs to an inode, not to a name: any path that leads to the inode does. The queue of events cannot be filled by
 * hand, so an instance is carried while it is empty, which a program that reads its events brings about by itself.
 */
import { closeSync } from 'node:fs'
import { native } from '../../native/index.js'
import { defineKind } from './description.js'
import type { DescriptionKind, SeenDescription, SeenTree } from './description.js'
import { parseWatch } from './inotify/watch-line.js'
import { watchedPath } from './inotify/watched-path.js'
import { O_CLOEXEC, O_NONBLOCK } from './open-flags.js'
import { refusal } from './refusal.js'

export interface Inotify {
  /** In the order in which they are added: fdinfo prints the newest first. */
  watches: InotifyWatch[]
}

export interface InotifyWatch {
  descriptor: number
  /** As the process that it is armed in sees it. */
  path: string
  mask: number
}

const FIONREAD = 0x541b
/** _IOW('I', 0, __s32), since Linux 4.16, with CONFIG_CHECKPOINT_RESTORE: the number that the next watch gets. Takes it by value. */
const INOTIFY_IOC_SETNEXTWD = 0x4004_4900
const IN_DONT_FOLLOW = 0x0200_0000
const LINK = 'anon_inode:inotify'

export const inotify: DescriptionKind<unknown> = defineKind<Inotify>({
  name: 'inotify',
  support: {
    topic: 'descriptors',
    carried: 'inotify',
    conditions: [
      'The next watch of an inotify instance gets the number behind its highest; where a higher one was removed before, a number comes again.',
    ],
    refused: {
      THAW_INOTIFY_EVENTS: 'inotify events that were not read',
      THAW_INOTIFY_KERNEL: 'inotify on kernels whose watches cannot get their numbers again',
      THAW_INOTIFY_PATH: 'watches of what no path is found to',
    },
  },

  recognises: ({ link }) => link === LINK,

  collect(seen, tree) {
    refuseWithoutNumbers(seen)
    const watches = seen.info.lines.flatMap((line) => parseWatch(line) ?? [])
    const found = watches.map((watch) => ({ descriptor: watch.descriptor, path: watchedPath(watch, seen, tree), mask: watch.mask }))
    // Last: looking for a path may itself be an event.
    refuseEvents(seen, tree)
    return { watches: found.toReversed() }
  },

  open: (_, emitter) => emitter.raise(emitter.program.call('inotify_init1', [O_CLOEXEC | O_NONBLOCK])),

  // Not before: files that the restore opens, makes and removes would be events.
  arm({ watches }, { program }, placements, self) {
    const fd = placements[0]?.fd ?? self
    let next = 1
    for (const { descriptor, path, mask } of watches) {
      if (descriptor !== next) program.call('ioctl', [fd, INOTIFY_IOC_SETNEXTWD, descriptor])
      const flags = mask | IN_DONT_FOLLOW
      program.for(`watch of ${path}`, () =>
        program.call('inotify_add_watch', [fd, program.bundle.string(path), flags], { equal: descriptor }),
      )
      next = descriptor + 1
    }
    const highest = Math.max(0, ...watches.map(({ descriptor }) => descriptor))
    if (highest >= next) program.call('ioctl', [fd, INOTIFY_IOC_SETNEXTWD, highest + 1])
  },
})

function refuseEvents(seen: SeenDescription, tree: SeenTree): void {
  const waiting = new Uint8Array(4)
  native.ioctl(seen.duplicate(), FIONREAD, waiting)
  const [bytes = 0] = new Int32Array(waiting.buffer)
  if (bytes === 0) return
  const advice = tree.frozen ? 'Try again.' : 'Let it read them before the checkpoint.'
  throw refusal(seen, 'THAW_INOTIFY_EVENTS', `is an inotify instance with events (${bytes} bytes) that it has not read`, advice)
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
