/** What the two ends of a pseudo-terminal share, read and set through the master (ioctl_tty(2)). */
import { native } from '../../../native/index.js'
import type { Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import { homeOf } from '../description.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { AT_FDCWD } from '../open-flags.js'
import { refusal } from '../refusal.js'
import { collectsLines, emitLine, FIONREAD, peekLine, POLLIN, TCGETS2, TCSETS2, TERMIOS_BYTES } from './line.js'
import { askNumber } from './seen-pty.js'
import type { SeenPty } from './seen-pty.js'

export interface PtySettings {
  /** struct termios2. */
  termios: Uint8Array
  /** struct winsize. */
  size: Uint8Array
  packets: boolean
  locked: boolean
  /** Of the file /dev/pts/N. */
  mode: number
  uid: number
  gid: number
  /** Typed in, and no whole line yet. */
  line: Uint8Array
}

const TIOCGWINSZ = 0x5413
const TIOCSWINSZ = 0x5414
const TIOCPKT = 0x5420
const TIOCGETD = 0x5424
const TIOCGPKT = 0x8004_5438
const TIOCGPTLCK = 0x8004_5439
const TIOCSPTLCK = 0x4004_5431
const TIOCGLCKTRMIOS = 0x5456
const N_TTY = 0
const SIZE_BYTES = 8
const POLLOUT = 4
const OVERFLOW_ID = 65534

export function collectSettings(pty: SeenPty, tree: SeenTree): PtySettings {
  const { master, slaves, number } = pty
  for (const end of [master, ...slaves])
    if (askNumber(end, TIOCGETD) !== N_TTY)
      throw refusal(end, 'THAW_PTY_DISCIPLINE', `is ${end.link} with another line discipline than N_TTY`, CLOSE)
  const locks = ask(master, TIOCGLCKTRMIOS, TERMIOS_BYTES)
  if (locks.some((byte) => byte !== 0))
    throw refusal(master, 'THAW_PTY_LOCKED', `is ${master.link} with locked settings (TIOCSLCKTRMIOS)`, CLOSE)
  const termios = ask(master, TCGETS2, TERMIOS_BYTES)
  const { mode, uid, gid } = native.statPath(`${homeOf(master).rootPath}/dev/pts/${number}`)
  if (tree.frozen) refuseData(pty)
  const settings: PtySettings = {
    termios,
    size: ask(master, TIOCGWINSZ, SIZE_BYTES),
    packets: askNumber(master, TIOCGPKT) !== 0,
    locked: askNumber(master, TIOCGPTLCK) !== 0,
    mode: mode & 0o7777,
    uid,
    gid,
    line: new Uint8Array(),
  }
  const [slave] = slaves
  // Setting a terminal, even to what it was, is an edge for the epoll sets that watch it.
  if (slave !== undefined && collectsLines(termios))
    tree.lookLater(() => (settings.line = peekLine(master.duplicate(), slave.duplicate(), termios)))
  return settings
}

const CLOSE = 'Close it in the warm-up.'

function ask(seen: SeenDescription, request: number, bytes: number): Uint8Array {
  const answer = new Uint8Array(bytes)
  native.ioctl(seen.duplicate(), request, answer)
  return answer
}

/** There is no way to look at what waits in a terminal without taking it. */
function refuseData({ master, slaves }: SeenPty): void {
  const [slave] = slaves
  if (slave === undefined) return
  for (const end of [master, slave]) {
    // Polling first: it waits for what is on its way.
    const ready = native.poll(end.duplicate(), POLLIN | POLLOUT, 0)
    const waiting = (askNumber(end, FIONREAD) ?? 0) > 0 || (ready & POLLIN) !== 0
    if (waiting)
      throw refusal(
        end,
        'THAW_PTY_DATA',
        `is ${end.link}, a pseudo-terminal with data in it that was not read`,
        'Let it be read before the checkpoint.',
      )
    if ((ready & POLLOUT) === 0)
      throw refusal(
        end,
        'THAW_PTY_STOPPED',
        `is ${end.link}, a pseudo-terminal whose output is stopped (Ctrl-S)`,
        'Start it again (Ctrl-Q).',
      )
  }
}

/** @param slave open while the settings are made */
export function emitSettings(program: Program, master: Cell, slave: Cell, path: string, settings: PtySettings): void {
  const { bundle } = program
  const { termios, size, line, uid, gid } = settings
  if (line.length > 0) emitLine(program, master, slave, line, termios)
  program.call('ioctl', [master, TCSETS2, bundle.bytes(termios)])
  program.call('ioctl', [master, TIOCSWINSZ, bundle.bytes(size)])
  const name = bundle.string(path)
  // An id that has no meaning in this user namespace cannot be set.
  const owner = [uid, gid].map((id) => (id === OVERFLOW_ID ? -1 : id))
  program.call('fchownat', [AT_FDCWD, name, owner[0] ?? -1, owner[1] ?? -1, 0])
  program.call('fchmodat', [AT_FDCWD, name, settings.mode])
  const on = bundle.bytes(Uint8Array.of(1, 0, 0, 0))
  if (settings.packets) program.call('ioctl', [master, TIOCPKT, on])
  if (settings.locked) program.call('ioctl', [master, TIOCSPTLCK, on])
}
