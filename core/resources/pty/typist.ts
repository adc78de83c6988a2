/**
 * Types what was read out of a terminal in again, inside the process that read it. What is not known before the program runs (bytes, where
 * lines end) is in memory; see data.ts for the same with all known.
 */
import type { Argument } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import { emitNext, settingsOf, SPECIAL } from './data.js'
import { loop, unless, Variable } from '../../program/loop.js'
import { awaitStop, pause, poll, POLLIN, writeAll } from './loops.js'
import { END, NEWLINE, NEXT, started, STOP, stoppable } from './termios.js'

/** Lengths of lines, two bytes each, and their bytes, one behind the other. */
export interface Lines {
  readonly bytes: bigint
  readonly lengths: bigint
}

/** What the line discipline holds. Whatever there was beyond it, it has not worked on, and it must not have it before the settings are back. */
const HOLDS = 4095
/** One place is left for STOP to come in. */
const HOLDS_BEFORE_STOP = HOLDS - 1

/** Each part ends where the next address stands. */
interface Parts {
  readonly first: bigint
  readonly last: bigint
  readonly beyond: bigint
}

export class Typist {
  readonly #program: Program
  readonly #parts: Parts
  readonly #to: Variable
  readonly #count: Variable
  readonly #firstEnd: Variable
  readonly #lastEnd: Variable
  readonly #literal: Variable

  /** @param mostBytes that can be there, beyond what the line discipline holds included */
  constructor(program: Program, mostBytes: number) {
    const { bundle } = program
    this.#program = program
    this.#parts = { first: bundle.allocate(2 * HOLDS + 8), last: bundle.allocate(8), beyond: bundle.allocate(mostBytes + 8) }
    this.#to = new Variable(program, this.#parts.first)
    this.#count = new Variable(program)
    this.#firstEnd = new Variable(program)
    this.#lastEnd = new Variable(program)
    this.#literal = new Variable(program, 1)
  }

  /** Makes out what is to be typed: so many whole lines, and bytes behind them and what is skipped. */
  compose(lines: Lines, lineCount: Argument, skipped: Argument, rest: Argument): void {
    const program = this.#program
    const from = new Variable(program, lines.bytes)
    const [length, left] = [new Variable(program, lines.lengths), new Variable(program, lineCount)]
    loop(program, (_, doneIf) => {
      doneIf('less', left.get(), 1)
      left.subtract(1)
      const bytes = program.load(length.get(), 2)
      length.add(2)
      this.#composeBytes(from, bytes, true)
    })
    from.add(skipped)
    this.#composeBytes(from, rest, false)
    // What was not reached ends where it begins.
    const { last, beyond } = this.#parts
    this.#endAt(this.#firstEnd, last)
    this.#endAt(this.#lastEnd, beyond)
  }

  #endAt(end: Variable, next: bigint): void {
    unless(this.#program, 'not-equal', end.get(), 0, () => {
      end.set(this.#to.get())
      this.#to.set(next)
    })
  }

  #composeBytes(from: Variable, bytes: Argument, isLine: boolean): void {
    const program = this.#program
    const [left, open] = [new Variable(program, bytes), new Variable(program, isLine ? 1 : 0)]
    loop(program, (_, doneIf) => {
      doneIf('less', left.get(), 1)
      const byte = program.load(from.get(), 1)
      // A newline that ends its line.
      unless(program, 'not-equal', byte, NEWLINE, () => unless(program, 'not-equal', left.get(), 1, () => open.set(0)))
      this.#put(byte, isLine ? left.get() : 0, isLine)
      from.add(1)
      left.subtract(1)
    })
    // Beyond, nothing has been worked on, and no END has become one.
    unless(program, 'equal', open.get(), 0, () => unless(program, 'equal', this.#literal.get(), 0, () => this.#put(END, 1, true)))
  }

  /** @param left of its line, itself included: what ends one is not to be taken literally */
  #put(byte: Argument, left: Argument, isLine: boolean): void {
    const program = this.#program
    const { last, beyond } = this.#parts
    unless(program, 'not-equal', this.#count.get(), HOLDS_BEFORE_STOP, () => {
      this.#firstEnd.set(this.#to.get())
      this.#to.set(last)
    })
    unless(program, 'not-equal', this.#count.get(), HOLDS, () => {
      this.#lastEnd.set(this.#to.get())
      this.#to.set(beyond)
      this.#literal.set(0)
    })
    if (typeof byte === 'number') return this.#store(byte)
    unless(program, 'equal', this.#literal.get(), 0, () => {
      const plain: ReturnType<Program['jump']>[] = []
      const special = SPECIAL.map((one) => program.jump(0, 'equal', byte, one))
      plain.push(program.jump(0))
      for (const jump of special) jump.target = program.here
      if (isLine) {
        const other = program.jump(0, 'not-equal', byte, NEWLINE)
        plain.push(program.jump(0, 'equal', left, 1))
        other.target = program.here
      }
      program.store(this.#to.get(), NEXT, 1)
      this.#to.add(1)
      for (const jump of plain) jump.target = program.here
    })
    this.#store(byte)
  }

  #store(byte: Argument): void {
    this.#program.store(this.#to.get(), byte, 1)
    this.#to.add(1)
    this.#count.add(1)
  }

  /** Types all that has its place in the line discipline. @param literalNext whether NEXT was typed last: 0 or 1 */
  type(master: Argument, slave: Argument, termios: Uint8Array, literalNext: Argument): void {
    const program = this.#program
    const set = settingsOf(program, master, 'any')
    const { first, last } = this.#parts
    program.store(this.#firstEnd.get(), STOP, 1)
    set(stoppable(termios))
    this.#write(master, first, program.sum(this.#firstEnd.get(), 1))
    awaitStop(program, slave)
    set(started(termios))
    unless(program, 'equal', this.#lastEnd.get(), last, () => {
      this.#write(master, last, this.#lastEnd.get())
      poll(program, slave, POLLIN)
      pause(program)
    })
    unless(program, 'equal', literalNext, 0, () => emitNext(program, master, slave))
  }

  /** Types what is beyond that, once the settings are back. */
  typeBeyond(master: Argument): void {
    unless(this.#program, 'equal', this.#literal.get(), 1, () => this.#write(master, this.#parts.beyond, this.#to.get()))
  }

  #write(master: Argument, start: bigint, end: Argument): void {
    writeAll(this.#program, master, start, this.#program.sum(end, -start), 'any')
  }
}
