/** What the two ends of a pseudo-terminal share, read and set through the master (ioctl_tty(2)). */
import { native } from '../../../native/index.js'
import type { Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import { homeOf } from '../description.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { AT_FDCWD } from '../open-flags.js'
import { refusal } from '../refusal.js'
import { emitData, NO_DATA } from './data.js'
import type { PtyData } from './data.js'
import { askNumber } from './seen-pty.js'
import type { SeenPty } from './seen-pty.js'
import { TCGETS2, TCSETS2, TERMIOS_BYTES } from './termios.js'
import { collectData } from './waiting.js'

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
  data: PtyData
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
  const settings = {
    termios,
    size: ask(master, TIOCGWINSZ, SIZE_BYTES),
    packets: askNumber(master, TIOCGPKT) !== 0,
    locked: askNumber(master, TIOCGPTLCK) !== 0,
    mode: mode & 0o7777,
    uid,
    gid,
    data: NO_DATA,
  }
  collectData(pty, settings, tree, (data) => (settings.data = data))
  return settings
}

const CLOSE = 'Close it in the warm-up.'

function ask(seen: SeenDescription, request: number, bytes: number): Uint8Array {
  const answer = new Uint8Array(bytes)
  native.ioctl(seen.duplicate(), request, answer)
  return answer
}

/** @param slave open while the settings are made */
export function emitSettings(program: Program, master: Cell, slave: Cell, path: string, settings: PtySettings): void {
  const { bundle } = program
  const { termios, size, data, uid, gid } = settings
  emitData(program, master, slave, termios, data)
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
