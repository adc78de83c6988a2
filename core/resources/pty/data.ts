/** What stands in a pseudo-terminal: typed and not read by the slave, written and not read by the master. */
import type { Argument, Cell } from '../../program/bundle.js'
import type { Expectation, Program } from '../../program/program.js'
import { awaitCount, awaitStop, pause, poll, POLLIN, writeAll } from './loops.js'
import { collectsLines, END, NEWLINE, NEXT, started, STOP, stoppable, TCSETS2, verbatim } from './termios.js'

export interface PtyData {
  /** Typed lines, each with the newline that ends it, or without where something else does. Where lines are not collected, none. */
  lines: Uint8Array[]
  /** What was typed after them, and is no whole line yet; all that was typed, where lines are not collected. */
  line: Uint8Array
  /** The next byte that is typed is taken as it is (VLNEXT was typed). */
  literalNext: boolean
  /** What the master has yet to read. */
  output: Uint8Array
}

export const NO_DATA: PtyData = { lines: [], line: new Uint8Array(), literalNext: false, output: new Uint8Array() }

/**
 * With more, what follows may wait outside the line discipline: its buffer has 4096 bytes, and where a byte may take three of them
 * (PARMRK), it takes no more of them when two are left.
 */
export const MOST_BYTES = 4092

/** Puts it in. The terminal's settings come afterwards. @param slave that can be read and written, and does not block, as the master */
export function emitData(program: Program, master: Cell, slave: Cell, termios: Uint8Array, data: PtyData): void {
  const { lines, line, output } = data
  const set = settingsOf(program, master)
  if (output.length > 0) {
    set(verbatim(termios))
    emitBytes(program, slave, master, program.bundle.bytes(output), output.length)
  }
  if (collectsLines(termios)) {
    emitLines(program, master, slave, termios, data)
  } else if (line.length > 0 || lines.length > 0) {
    set(verbatim(termios))
    emitBytes(program, master, slave, program.bundle.bytes(line), line.length)
  }
}

export const settingsOf =
  (program: Program, master: Argument, expect: Expectation = 'ok') =>
  (termios: Uint8Array): Cell =>
    program.call('ioctl', [master, TCSETS2, program.bundle.bytes(termios)], expect)

function emitBytes(program: Program, writer: Cell, reader: Cell, bytes: bigint, length: number): void {
  writeAll(program, writer, bytes, length, { equal: length })
  awaitCount(program, reader, length)
}

/** Typed in, not echoed. That STOP has stopped the output tells that all before it has arrived. */
function emitLines(program: Program, master: Cell, slave: Cell, termios: Uint8Array, { lines, line, literalNext }: PtyData): void {
  if (lines.length === 0 && line.length === 0 && !literalNext) return
  const set = settingsOf(program, master)
  const typed = [...lines.flatMap(typedLine), ...[...line].flatMap(literal), STOP]
  set(stoppable(termios))
  writeAll(program, master, program.bundle.bytes(Uint8Array.from(typed)), typed.length, 'ok')
  awaitStop(program, slave)
  set(started(termios))
  if (literalNext) emitNext(program, master, slave)
}

/** Behind whole lines there is nothing to see it by: it gets some time. */
export function emitNext(program: Program, master: Argument, slave: Argument): void {
  program.call('write', [master, program.bundle.bytes(Uint8Array.of(NEXT)), 1], 'any')
  poll(program, slave, POLLIN)
  pause(program, NEXT_NS)
}

const NEXT_NS = 2_000_000

export const SPECIAL: readonly number[] = [NEWLINE, END, NEXT, STOP]

const literal = (byte: number): number[] => (SPECIAL.includes(byte) ? [NEXT, byte] : [byte])

function typedLine(line: Uint8Array): number[] {
  const bytes = [...line]
  return bytes.at(-1) === NEWLINE ? [...bytes.slice(0, -1).flatMap(literal), NEWLINE] : [...bytes.flatMap(literal), END]
}
