/** Typed lines, and what is behind them, are read and typed in again: part of the program of reading.ts. */
import type { Argument } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import { settingsOf } from './data.js'
import { LineReading, LINES_BYTES } from './line-reading.js'
import { unless } from '../../program/loop.js'
import type { Answer, Waiting } from './reading.js'
import { Typist } from './typist.js'

export function askLines(program: Program, master: Argument, slave: Argument, waiting: Waiting): Answer {
  const reading = new LineReading(program, master, slave, waiting)
  const { termios, hasInput } = waiting
  if (hasInput) reading.readAll()
  else reading.readHalf()
  const { lines, count, skipped, rest, literalNext, echoed } = reading
  const typist = new Typist(program, hasInput ? LINES_BYTES : 0)
  unless(program, 'equal', echoed.get(), 1, () => {
    typist.compose(lines, count.get(), skipped.get(), rest.get())
    typist.type(master, slave, termios, literalNext.get())
  })
  settingsOf(program, master, 'any')(termios)
  typist.typeBeyond(master)
  return answerOf(reading)
}

function answerOf(reading: LineReading): Answer {
  const { bytes, lengths } = reading.lines
  const [count, skipped, rest, literalNext] = [reading.count.get(), reading.skipped.get(), reading.rest.get(), reading.literalNext.get()]
  return (results) => {
    const lineCount = Number(results.cell(count))
    const each = new Uint16Array(Uint8Array.from(lineCount === 0 ? [] : results.bytes(lengths, 2 * lineCount)).buffer)
    let at = bytes
    const take = (length: number): Uint8Array => {
      at += BigInt(length)
      return length === 0 ? new Uint8Array() : results.bytes(at - BigInt(length), length)
    }
    const lines = Array.from(each, take)
    take(Number(results.cell(skipped)))
    return { lines, line: take(Math.max(0, Number(results.cell(rest)))), literalNext: results.cell(literalNext) !== 0n }
  }
}
