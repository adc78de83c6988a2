/** Settings of a terminal (struct termios2, ioctl_tty(2)), and those under which its data is handled. */

/** Four words of flags, the line discipline, 19 characters, two speeds. */
export const TERMIOS_BYTES = 44
export const TCGETS2 = 0x802c_542a
export const TCSETS2 = 0x402c_542b

const INPUT_AT = 0
const OUTPUT_AT = 4
const LOCAL_AT = 12
const CHARACTERS_AT = 17
const CHARACTERS = 19
const VEOF = 4
const VMIN = 6
const VSTOP = 9
const VREPRINT = 12
const VLNEXT = 15
/**
 * Where lines are not collected, who waits in a read, or for something to read, does not go on with less. Nobody is to find what is
 * there for a moment, least of all nothing, which would be the end of file.
 */
const MANY = 255
const IXON = 0o2000
const ICANON = 2
const ECHO = 0o10
const IEXTEN = 0o100000
const EXTPROC = 0x1_0000

/** What is typed to end a line where it stands, to have the next byte be taken as it is, to stop the output. */
export const END = 4
export const NEXT = 0x16
export const STOP = 0x13
/** What is typed to have what is behind whole lines be echoed. */
export const REPRINT = 0x12
export const NEWLINE = 10

export const collectsLines = (termios: Uint8Array): boolean => {
  const flags = word(termios, LOCAL_AT)
  return (flags & ICANON) !== 0 && (flags & EXTPROC) === 0
}

const word = (termios: Uint8Array, at: number): number => new DataView(termios.buffer, termios.byteOffset).getUint32(at, true)

/**
 * As these, but all bytes pass as they are: no echo, no signals, no editing, no stopping. Whether lines are collected stays: changed with
 * data there, it would make all of that one line. Only a newline ends one then; where none are, reads return at once.
 */
export const verbatim = (termios: Uint8Array): Uint8Array => settings(termios, 0, 0, {})

/** The same, with lines not collected any more: what was not ended can be read then. */
export function unlined(termios: Uint8Array): Uint8Array {
  const changed = verbatim(termios)
  new DataView(changed.buffer).setUint32(LOCAL_AT, 0, true)
  return changed
}

/** Lines are ended by END, too. */
export const ended = (termios: Uint8Array): Uint8Array => settings(termios, 0, 0, { [VEOF]: END })

/** REPRINT and a newline act. */
export const reprinting = (termios: Uint8Array): Uint8Array => settings(termios, 0, ECHO | IEXTEN, { [VREPRINT]: REPRINT })

/** STOP and a newline act. */
export const stoppableOnly = (termios: Uint8Array): Uint8Array => settings(termios, IXON, 0, { [VSTOP]: STOP })

/** END, STOP and a newline act, all others (and these behind NEXT) are taken as they are. */
export const stoppable = (termios: Uint8Array): Uint8Array =>
  settings(termios, IXON, IEXTEN, { [VEOF]: END, [VSTOP]: STOP, [VLNEXT]: NEXT })

/** The same without STOP: what that has stopped goes on. */
export const started = (termios: Uint8Array): Uint8Array => settings(termios, 0, IEXTEN, { [VEOF]: END, [VLNEXT]: NEXT })

function settings(termios: Uint8Array, input: number, local: number, characters: Readonly<Record<number, number>>): Uint8Array {
  // Not slice, which for a Buffer is a view.
  const changed = Uint8Array.from(termios)
  const view = new DataView(changed.buffer)
  view.setUint32(INPUT_AT, input, true)
  view.setUint32(OUTPUT_AT, 0, true)
  view.setUint32(LOCAL_AT, (word(termios, LOCAL_AT) & (ICANON | EXTPROC)) | local, true)
  changed.fill(0, CHARACTERS_AT, CHARACTERS_AT + CHARACTERS)
  changed[CHARACTERS_AT + VMIN] = MANY
  for (const [index, character] of Object.entries(characters)) changed[CHARACTERS_AT + Number(index)] = character
  return changed
}
