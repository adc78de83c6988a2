/**
 * What was typed into a pseudo-terminal and is no whole line yet. The line discipline tells nothing of it while it collects lines
 * (ICANON), so it is asked without that for a moment, and what was taken out is typed in again.
 */
import { native } from '../../../native/index.js'
import type { Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'

/** struct termios2: four words of flags, the line discipline, 19 characters, two speeds. */
export const TERMIOS_BYTES = 44
export const TCGETS2 = 0x802c_542a
export const TCSETS2 = 0x402c_542b
export const FIONREAD = 0x541b
export const POLLIN = 1
const LFLAG_AT = 12
const CHARACTERS_AT = 17
const CHARACTERS = 19
const VTIME = 5
const VMIN = 6
const ICANON = 2
const EXTPROC = 0x1_0000

export const collectsLines = (termios: Uint8Array): boolean => (flagsOf(termios) & ICANON) !== 0 && (flagsOf(termios) & EXTPROC) === 0

const flagsOf = (termios: Uint8Array): number => new DataView(termios.buffer, termios.byteOffset).getUint32(LFLAG_AT, true)

function withFlags(termios: Uint8Array, flags: number): Uint8Array {
  // Not slice, which for a Buffer is a view.
  const changed = Uint8Array.from(termios)
  new DataView(changed.buffer).setUint32(LFLAG_AT, flags, true)
  return changed
}

/** Reads return at once, with whatever there is. */
function unbuffered(termios: Uint8Array): Uint8Array {
  const changed = withFlags(termios, flagsOf(termios) & ~ICANON)
  changed[CHARACTERS_AT + VTIME] = 0
  changed[CHARACTERS_AT + VMIN] = 0
  return changed
}

/** Takes every byte for itself: no echo, no signals, no editing. */
function verbatim(termios: Uint8Array): Uint8Array {
  const changed = withFlags(termios, ICANON)
  changed.fill(0, 0, 8)
  changed.fill(0, CHARACTERS_AT, CHARACTERS_AT + CHARACTERS)
  return changed
}

/** Of a pair that stands still and holds no whole line. @param termios that collects lines */
export function peekLine(master: number, slave: number, termios: Uint8Array): Uint8Array {
  const waiting = new Uint8Array(4)
  const [without, typed] = [unbuffered(termios), verbatim(termios)]
  let line = new Uint8Array()
  // As little as possible between these, in case the dumper is killed.
  native.ioctl(slave, TCSETS2, without)
  try {
    native.ioctl(slave, FIONREAD, waiting)
    const [bytes = 0] = new Int32Array(waiting.buffer)
    if (bytes > 0) line = Uint8Array.from(native.read(slave, bytes) ?? [])
    if (line.length > 0) {
      native.ioctl(slave, TCSETS2, typed)
      native.syscall('write', [master, line, line.length])
      // The line discipline works in the background; who polls waits for it.
      native.poll(slave, POLLIN, 0)
    }
  } finally {
    native.ioctl(slave, TCSETS2, termios)
  }
  return line
}

/** Types the line in, which is not echoed. The settings of the terminal come afterwards. */
export function emitLine(program: Program, master: Cell, slave: Cell, line: Uint8Array, termios: Uint8Array): void {
  const { bundle } = program
  program.call('ioctl', [master, TCSETS2, bundle.bytes(verbatim(termios))])
  program.call('write', [master, bundle.bytes(line), line.length], { equal: line.length })
  const polled = bundle.allocate(8)
  program.store(polled, slave, 4)
  program.store(polled + 4n, POLLIN, 4)
  program.call('poll', [polled, 1, 0], { equal: 0 })
}
