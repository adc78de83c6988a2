/**
 * What stands in a pseudo-terminal is read by a process of the tree itself, and put back: there is no way to look at it without taking it. All
 * of it is one program, which runs on to its end whatever becomes of the dumper, and in which no call that fails is the last one.
 */
import type { ParasiteResults } from '../../checkpoint/parasite.js'
import type { Argument, Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import type { AskInside } from '../description.js'
import { O_CLOEXEC, O_NOCTTY, O_NONBLOCK, O_RDWR } from '../open-flags.js'
import { NO_DATA, settingsOf } from './data.js'
import type { PtyData } from './data.js'
import { askLines } from './lines.js'
import { loop, unless, Variable } from '../../program/loop.js'
import { awaitCount, writeAll } from './loops.js'
import type { PtyReader } from './reader.js'
import { collectsLines, verbatim } from './termios.js'

/** What is known from outside. */
export interface Waiting {
  readonly termios: Uint8Array
  /** Bytes that the slave can read, and whether there is anything, even an end of file. */
  readonly input: number
  readonly hasInput: boolean
  /** Bytes that the master can read. */
  readonly output: number
  readonly packets: boolean
  readonly locked: boolean
  readonly exclusive: boolean
}

/** How to read what the program has found. */
export type Answer = (results: ParasiteResults) => Partial<PtyData>

const F_SETFL = 4
const TIOCEXCL = 0x540c
const TIOCNXCL = 0x540d
const TIOCPKT = 0x5420
const TIOCSPTLCK = 0x4004_5431
/** _IO('T', 0x41), since Linux 4.13. */
const TIOCGPTPEER = 0x5441

/** @param tell is given what was there; undefined when it could not be looked at */
export function askData(reader: PtyReader, waiting: Waiting, tell: (data: PtyData | undefined) => void): AskInside {
  return (program) => {
    const looked = new Variable(program)
    const answers: Answer[] = []
    const { termios, input, output } = waiting
    const { master } = reader
    withSlave(program, reader, waiting, (slave) => {
      const set = settingsOf(program, master, 'any')
      unless(program, 'less', set(verbatim(termios)), 0, () => {
        looked.set(1)
        if (output > 0) answers.push(askBytes(program, master, slave, output, 'output'))
        if (collectsLines(termios)) {
          answers.push(askLines(program, master, slave, waiting))
        } else {
          if (input > 0) answers.push(askBytes(program, slave, master, input, 'line'))
          set(termios)
        }
      })
    })
    const outcome = looked.get()
    return (results) => {
      if (results.cell(outcome) === 0n) return tell(undefined)
      tell(Object.assign({ ...NO_DATA }, ...answers.map((answer) => answer(results))) as PtyData)
    }
  }
}

/** With a way to the slave that does not block, nor does the master; nobody is sent signals, or packets, for what is done then. */
function withSlave(
  program: Program,
  { master, quiet, slave }: PtyReader,
  { packets, locked, exclusive }: Waiting,
  use: (slave: Cell) => void,
): void {
  const [on, off] = [program.bundle.words(1), program.bundle.words(0)]
  const ioctl = (fd: Argument, request: number, argument: Argument): Cell => program.call('ioctl', [fd, request, argument], 'any')
  for (const { fd, meanwhile } of quiet) program.call('fcntl', [fd, F_SETFL, meanwhile], 'any')
  if (locked) ioctl(master, TIOCSPTLCK, off)
  if (exclusive) ioctl(slave, TIOCNXCL, 0)
  const own = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
  unless(program, 'less', own, 0, () => {
    if (packets) ioctl(master, TIOCPKT, off)
    use(own)
    if (packets) ioctl(master, TIOCPKT, on)
    program.call('close', [own], 'any')
  })
  if (exclusive) ioctl(slave, TIOCEXCL, 0)
  if (locked) ioctl(master, TIOCSPTLCK, on)
  for (const { fd, flags } of quiet) program.call('fcntl', [fd, F_SETFL, flags], 'any')
}

/** Bytes without lines: so many are there. */
function askBytes(program: Program, reader: Argument, writer: Argument, count: number, name: 'line' | 'output'): Answer {
  const bytes = program.bundle.allocate(count)
  const got = new Variable(program)
  loop(program, (_, doneIf) => {
    doneIf('equal', got.get(), count)
    const read = program.call('read', [reader, program.sum(got.get(), bytes), program.sum(program.product(got.get(), -1), count)], 'any')
    doneIf('less', read, 1)
    got.add(read)
  })
  writeAll(program, writer, bytes, got.get(), 'any')
  awaitCount(program, reader, got.get())
  const length = got.get()
  return (results) => ({ [name]: results.bytes(bytes, Number(results.cell(length))) })
}
