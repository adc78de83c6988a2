/**
 * Pseudo-terminals (pty(7)) of which the tree has both ends. One with its master outside is a standard stream or refused: see
 * standard-stream.ts.
 */
import { contradiction } from '../image/contradiction.js'
import type { ImageModel } from '../image/model.js'
import type { Cell } from '../program/bundle.js'
import { TTY } from './controlling-terminal.js'
import { defineKind, homeOf } from './description.js'
import type { DescriptionKind, Emitter, SeenDescription, SeenTree } from './description.js'
import { AT_FDCWD, O_ASYNC, O_CLOEXEC, O_LARGEFILE, O_NOCTTY, O_NONBLOCK, O_RDWR } from './open-flags.js'
import { collectControl, verifyControl } from './pty/control.js'
import { mountOptions, openMasters, slavePath } from './pty/numbers.js'
import type { PtyPair } from './pty/numbers.js'
import { askNumber, holderOutside, ptyOf, ptysOf } from './pty/seen-pty.js'
import type { SeenPty } from './pty/seen-pty.js'
import { collectSettings, emitSettings } from './pty/settings.js'
import type { PtySettings } from './pty/settings.js'
import { refusal } from './refusal.js'

export interface Pty {
  number: number
  /** Where a slave was opened: /dev/pts/N. */
  path: string
  /** TIOCEXCL, of this end. */
  exclusive: boolean
  /** All pairs of the tree, by number. */
  pairs: PtyPair[]
  /** With the master only. */
  settings: PtySettings | null
  /** Of devpts. */
  mount: string
}

const TIOCEXCL = 0x540c
/** _IO('T', 0x41), since Linux 4.13. */
const TIOCGPTPEER = 0x5441
const TIOCGEXCL = 0x8004_5440

export const pty: DescriptionKind<unknown> = defineKind<Pty>({
  name: 'pty',
  support: {
    topic: 'terminals',
    carried: 'pseudo-terminals with both ends in the tree, what stands in them, and the sessions they control',
    conditions: [
      "A process with pseudo-terminals of its own gets a `/dev/pts` of its own, in which the caller's terminal has no name. Which column their output is in starts at 0.",
      'What stands in a pseudo-terminal is taken out and put back by the process itself, all of it in one go: who is told of changes only (EPOLLET) is told of it again. If the dumper is killed in the midst of that, another process may find the terminal without it for the microseconds that are left.',
    ],
    refused: {
      THAW_PTY_DATA: 'pseudo-terminals with more than 4,092 bytes in them',
      THAW_PTY_PACKET: 'pseudo-terminals in packet mode with a change to tell of',
      THAW_PTY_READER:
        'pseudo-terminals that no process of the tree can read and put back (a master in flight only, or with processes in the background only; exclusive use, or signals, for ends of different processes)',
      THAW_PTY_HALF: 'pseudo-terminals without their other end',
      THAW_PTY_OUTSIDE: 'pseudo-terminals that somebody outside has open too',
      THAW_PTY_INSTANCE: 'pseudo-terminals of other mounts than /dev/pts',
      THAW_PTY_SESSION: 'terminals of sessions led from outside, that members have left, or whose foreground is gone',
      THAW_PTY_DISCIPLINE: 'terminals with another line discipline than N_TTY',
      THAW_PTY_LOCKED: 'terminals with locked settings',
      THAW_PTY_STOPPED: 'terminals whose output is stopped',
    },
  },

  recognises: (seen, tree) => seen.link !== TTY && ptyOf(seen, tree) !== undefined,

  collect(seen, tree) {
    const pair = ptyOf(seen, tree)
    if (pair === undefined) throw new Error(`${seen.link} is no pseudo-terminal any more`)
    const isMaster = pair.master === seen
    if (isMaster) refuseHalf(pair, tree)
    const path = isMaster ? '' : pathOf(seen, pair.number)
    const pairs = ptysOf(tree).map((one) => ({ number: one.number, path: masterPath(one.master), ...collectControl(one, tree) }))
    const settings = isMaster ? collectSettings(pair, tree) : null
    return {
      number: pair.number,
      path,
      exclusive: askNumber(seen, TIOCGEXCL) === 1,
      pairs,
      settings,
      mount: mountOptions(homeOf(seen).pid),
    }
  },

  verify({ number, pairs }, image, require) {
    require(pairs.some((pair) => pair.number === number), `is an end of pseudo-terminal ${number}, which is not there`)
    for (const pair of pairs) {
      require(mastersOf(pair.number, image) === 1, `tells of pseudo-terminal ${pair.number}, whose master is not there`)
      verifyControl(pair, image, require)
    }
  },

  open({ number, path, pairs, settings, mount }, emitter, flags) {
    const { program } = emitter
    const master = openMasters(pairs, mount, emitter).get(number)
    if (master === undefined) throw contradiction(`pseudo-terminal ${number} has no master`)
    if (settings !== null) return master
    const openFlags = (flags & ~O_ASYNC) | O_NOCTTY | O_NONBLOCK | O_CLOEXEC
    // Only this call leaves O_LARGEFILE out: openpty(3) makes it.
    if ((flags & O_LARGEFILE) === 0) return emitter.raise(program.call('ioctl', [master, TIOCGPTPEER, openFlags & ~O_CLOEXEC]))
    return emitter.raise(program.call('openat', [AT_FDCWD, program.bundle.string(path), openFlags, 0]))
  },

  connect({ number, settings, exclusive }, emitter, self) {
    if (settings !== null) withSlave(number, emitter, (slave) => emitSettings(emitter.program, self, slave, slavePath(number), settings))
    if (exclusive) toBeExclusive(emitter).push(self)
  },

  // Once nothing is opened any more.
  place(_, emitter) {
    for (const fd of toBeExclusive(emitter).splice(0)) emitter.program.call('ioctl', [fd, TIOCEXCL, 0])
  },
})

const mastersOf = (number: number, { descriptions }: ImageModel): number =>
  descriptions.filter(({ kind, payload }) => kind === 'pty' && (payload as Pty).number === number && (payload as Pty).settings !== null)
    .length

const toBeExclusive = (emitter: Emitter): Cell[] => emitter.shared('pty', 'exclusive', () => [])

/** A way to the other end for a moment; the tree's own are open all the while, so that nothing is hung up by its end. */
function withSlave(number: number, { program }: Emitter, use: (slave: Cell) => void): void {
  const flags = O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC
  const slave = program.call('openat', [AT_FDCWD, program.bundle.string(slavePath(number)), flags, 0])
  use(slave)
  program.call('close', [slave])
}

function refuseHalf(pair: SeenPty, tree: SeenTree): void {
  const { master, slaves, number } = pair
  if (slaves.every(({ link }) => link === TTY))
    throw refusal(
      master,
      'THAW_PTY_HALF',
      `is the master of pseudo-terminal ${number}, whose other end the tree does not have open`,
      'Close it in the warm-up, or start the process at the other end inside the fixture.',
    )
  if (ptysOf(tree).some((other) => other.number === number && other.master !== master))
    throw refusal(master, 'THAW_PTY_INSTANCE', `is the master of one of two pseudo-terminals ${number} (of two mounts of devpts)`, CLOSE)
  const holder = tree.frozen ? undefined : holderOutside(pair, tree)
  if (holder !== undefined)
    throw refusal(
      master,
      'THAW_PTY_OUTSIDE',
      `is the master of pseudo-terminal ${number}, which pid ${holder}, outside the tree, has open too`,
      CLOSE,
    )
}

const CLOSE = 'Close it in the warm-up.'

function masterPath(master: SeenDescription): string {
  if (master.link === '/dev/ptmx' || master.link === '/dev/pts/ptmx') return master.link
  throw refusal(master, 'THAW_PTY_INSTANCE', `is ${master.link}, a pseudo-terminal's master that was not opened as /dev/ptmx`, CLOSE)
}

function pathOf(slave: SeenDescription, number: number): string {
  if (slave.link === slavePath(number)) return slave.link
  throw refusal(slave, 'THAW_PTY_INSTANCE', `is ${slave.link}, a pseudo-terminal that was not opened as ${slavePath(number)}`, CLOSE)
}
