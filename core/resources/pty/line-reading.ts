/** How typed lines, and what is behind them, are read inside the process: part of the program of reading.ts. */
import type { Argument, Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import { settingsOf } from './data.js'
import { loop, unless, Variable } from '../../program/loop.js'
import { awaitCount, awaitMore, countOf, poll, POLLIN, POLLOUT, writeAll } from './loops.js'
import type { Waiting } from './reading.js'
import { END, ended, NEWLINE, REPRINT, reprinting, STOP, stoppableOnly, unlined, verbatim } from './termios.js'

/** More than a line discipline and what waits to get into it can hold. */
export const LINES_BYTES = 32768
const LINE_BYTES = 4096
/** A terminal that is hung up gives empty ones without end: another thread may close its master once the dumper is dead. */
const MOST_LINES = LINES_BYTES / 2
const MARK = 0x78
/** An echo has a buffer of 4096 bytes, some of which take two. */
const MOST_ECHOED = 2000
const TCFLSH = 0x540b
const TCIFLUSH = 0
/** What is typed behind whole lines. */
const ENDS = Uint8Array.of(END, MARK, END)

export class LineReading {
  /** Bytes one behind the other, and lengths of whole lines, two bytes each. */
  readonly lines: { readonly bytes: bigint; readonly lengths: bigint }
  readonly count: Variable
  /** Bytes behind them that are passed over. */
  readonly skipped: Variable
  /** Bytes behind those. */
  readonly rest: Variable
  readonly literalNext: Variable
  /** 1 where nothing has been taken out. */
  readonly echoed: Variable
  readonly #program: Program
  readonly #master: Argument
  readonly #slave: Argument
  readonly #waiting: Waiting
  readonly #end: Variable

  constructor(program: Program, master: Argument, slave: Argument, waiting: Waiting) {
    const { bundle } = program
    this.#program = program
    this.#master = master
    this.#slave = slave
    this.#waiting = waiting
    const mostBytes = waiting.hasInput ? LINES_BYTES : LINE_BYTES
    this.lines = { bytes: bundle.allocate(mostBytes + LINE_BYTES), lengths: bundle.allocate(waiting.hasInput ? 2 * mostBytes : 8) }
    this.count = new Variable(program)
    this.skipped = new Variable(program)
    this.rest = new Variable(program)
    this.literalNext = new Variable(program)
    this.echoed = new Variable(program)
    this.#end = new Variable(program, this.lines.bytes)
  }

  /**
   * Without whole lines, somebody may wait for one: what is there is not touched, but echoed, so that the master can read it. A STOP is typed
   * first: if that does not act, but stands behind the rest, it was to be taken literally. Then, or if it is too long for an echo, it is taken out.
   */
  readHalf(): void {
    const program = this.#program
    this.#set(stoppableOnly)
    this.#type(Uint8Array.of(STOP))
    unless(program, 'equal', poll(program, this.#slave, POLLIN | POLLOUT), 0, () => this.literalNext.set(1))
    unless(program, 'equal', this.literalNext.get(), 1, () => this.#readEcho())
    unless(program, 'equal', this.echoed.get(), 1, () => {
      this.#set(unlined)
      loop(program, (_, doneIf) => doneIf('less', this.#read(LINE_BYTES), 1))
      this.rest.set(program.sum(this.#end.get(), -this.lines.bytes))
      this.rest.subtract(this.literalNext.get())
      // Whatever of an echo that was too long would still come.
      program.call('ioctl', [this.#slave, TCFLSH, TCIFLUSH], 'any')
    })
  }

  /** The echo is REPRINT, a newline, and the bytes; behind what the master has yet to read anyway, which is written again. */
  #readEcho(): void {
    const program = this.#program
    const { output } = this.#waiting
    const bytes = program.bundle.allocate(output + 2 * LINE_BYTES)
    const end = new Variable(program, bytes)
    this.#set(reprinting)
    this.#type(Uint8Array.of(REPRINT))
    poll(program, this.#slave, POLLIN)
    loop(program, (_, doneIf) => {
      const most = program.sum(program.product(end.get(), -1), bytes + BigInt(output + 2 * LINE_BYTES))
      const length = program.call('read', [this.#master, end.get(), most], 'any')
      doneIf('less', length, 1)
      end.add(length)
    })
    if (output > 0) {
      writeAll(program, this.#slave, bytes, output, 'any')
      awaitCount(program, this.#master, output)
    }
    const start = bytes + BigInt(output + 2)
    const length = program.sum(end.get(), -start)
    // What runs over is overwritten from the start.
    const isWhole = program.sum(program.load(start - 2n, 1), program.product(program.load(start - 1n, 1), 256))
    unless(program, 'not-equal', isWhole, REPRINT + 256 * NEWLINE, () =>
      unless(program, 'less', length, 0, () =>
        unless(program, 'less', MOST_ECHOED, length, () => {
          this.echoed.set(1)
          this.rest.set(length)
          program.copy(this.lines.bytes, start, length)
        }),
      ),
    )
  }

  /**
   * With whole lines: the line discipline throws away what it has no room for as soon as it has no whole line. So what is behind them is
   * ended first: if that shows, there was room, and nothing else is on its way.
   */
  readAll(): void {
    const program = this.#program
    this.#set(ended)
    this.#type(ENDS)
    const arrived = awaitMore(program, this.#slave, this.#waiting.input)
    unless(program, 'equal', arrived.get(), 0, () => this.#readLines())
    unless(program, 'equal', arrived.get(), 1, () => this.#readOverfull())
  }

  /** The last is the mark; if that stands behind END, that was taken literally. */
  #readLines(): void {
    const program = this.#program
    loop(program, (_, doneIf) => {
      doneIf('equal', this.count.get(), MOST_LINES)
      const length = this.#read(LINE_BYTES)
      doneIf('less', length, 0)
      this.#endLine(length)
    })
    this.#dropLine()
    unless(program, 'equal', this.rest.get(), 1, () => {
      this.literalNext.set(1)
      this.rest.set(program.sum(this.rest.get(), -2))
    })
    unless(program, 'equal', this.literalNext.get(), 1, () => this.#dropLine())
  }

  /** Takes the last line for what is behind the lines. */
  #dropLine(): void {
    const program = this.#program
    this.count.subtract(1)
    this.rest.set(program.load(program.sum(program.product(this.count.get(), 2), this.lines.lengths), 2))
  }

  /**
   * All but the last byte of the lines is read as lines, then the rest, at whose end ENDS stands, without. What ends the last line, and that
   * the next byte was to be taken literally, is guessed: this is refused, in the end.
   */
  #readOverfull(): void {
    const program = this.#program
    const part = new Variable(program)
    this.#set(verbatim)
    loop(program, (_, doneIf) => {
      doneIf('equal', this.count.get(), MOST_LINES)
      const left = countOf(program, this.#slave)
      doneIf('less', left, 2)
      const length = this.#read(program.sum(left, -1))
      doneIf('less', length, 0)
      part.set(length)
      unless(program, 'not-equal', countOf(program, this.#slave), 1, () => {
        const last = program.load(program.sum(this.#end.get(), -1), 1)
        unless(program, 'equal', last, NEWLINE, () => part.set(program.product(length, -1)))
      })
      doneIf('less', part.get(), 0)
      this.#endLine(length)
      part.set(0)
    })
    const line = program.sum(program.product(part.get(), -1), countOf(program, this.#slave))
    const start = new Variable(program, program.sum(this.#end.get(), part.get()))
    this.#set(unlined)
    loop(program, (_, doneIf) => doneIf('less', this.#read(LINE_BYTES), 1))
    this.#endLine(line)
    start.add(line)
    unless(program, 'equal', program.load(program.sum(start.get(), -1), 1), NEWLINE, () =>
      unless(program, 'not-equal', program.load(start.get(), 1), 0, () => this.skipped.set(1)),
    )
    start.add(this.skipped.get())
    this.rest.set(program.sum(program.sum(this.#end.get(), program.product(start.get(), -1)), -ENDS.length))
  }

  #set(change: (termios: Uint8Array) => Uint8Array): void {
    settingsOf(this.#program, this.#master, 'any')(change(this.#waiting.termios))
  }

  #type(bytes: Uint8Array): void {
    this.#program.call('write', [this.#master, this.#program.bundle.bytes(bytes), bytes.length], 'any')
  }

  /** Reads on, behind what was read. */
  #read(most: Argument): Cell {
    const program = this.#program
    const length = program.call('read', [this.#slave, this.#end.get(), most], 'any')
    unless(program, 'less', length, 0, () => this.#end.add(length))
    return length
  }

  #endLine(length: Argument): void {
    const program = this.#program
    program.store(program.sum(program.product(this.count.get(), 2), this.lines.lengths), length, 2)
    this.count.add(1)
  }
}
