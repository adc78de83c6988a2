/** What of a pseudo-terminal's data is seen from outside: how much there is, and whether it can be read and put back. */
import { native } from '../../../native/index.js'
import { CheckpointError } from '../../errors.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { refusal } from '../refusal.js'
import { MOST_BYTES } from './data.js'
import type { PtyData } from './data.js'
import { FIONREAD, POLLIN, POLLOUT, POLLPRI } from './loops.js'
import { readerOf } from './reader.js'
import { askData } from './reading.js'
import type { Waiting } from './reading.js'
import { askNumber } from './seen-pty.js'
import type { SeenPty } from './seen-pty.js'
import type { PtySettings } from './settings.js'
import { collectsLines, NEWLINE } from './termios.js'

const TIOCGEXCL = 0x8004_5440

/** Nothing tells of a line that is half typed: wherever lines are collected, there may be one. */
export function collectData(pair: SeenPty, settings: PtySettings, tree: SeenTree, tell: (data: PtyData) => void): void {
  const { master, slaves, number } = pair
  const [slave] = slaves
  if (slave === undefined) return
  const { termios, packets, locked } = settings
  const [output, input] = [look(master), look(slave)]
  // What does not fit into the line discipline fills what is before it.
  if ((output.ready & POLLOUT) === 0) throw tooMuch(slave)
  if ((input.ready & POLLOUT) === 0)
    throw refusal(
      slave,
      'THAW_PTY_STOPPED',
      `is ${slave.link}, a pseudo-terminal whose output is stopped (Ctrl-S)`,
      'Start it again (Ctrl-Q).',
    )
  if ((output.ready & POLLPRI) !== 0)
    throw refusal(master, 'THAW_PTY_PACKET', `is the master of pseudo-terminal ${number}, with a packet that tells of a change`, READ)
  const exclusive = askNumber(slave, TIOCGEXCL) === 1
  const waiting: Waiting = {
    termios,
    input: input.bytes,
    hasInput: (input.ready & POLLIN) !== 0 || input.bytes > 0,
    output: output.bytes,
    packets,
    locked,
    exclusive,
  }
  if (!collectsLines(termios) && input.bytes === 0 && output.bytes === 0) return
  const reader = readerOf(pair, exclusive, tree)
  if (!tree.frozen) return
  tree.askInside(
    reader.process,
    askData(reader, waiting, (data) => {
      const after = [look(master).bytes, look(slave).bytes]
      if (data === undefined || after[0] !== output.bytes || after[1] !== input.bytes) throw disturbed(master, number)
      refuseMuch(master, data)
      tell(data)
    }),
    // Setting a terminal, even to what it was, is an edge for the epoll sets that watch it.
    'last',
  )
}

const READ = 'Let it be read before the checkpoint.'

/** Polling first: it waits for what is on its way. */
function look(end: SeenDescription): { ready: number; bytes: number } {
  const ready = native.poll(end.duplicate(), POLLIN | POLLPRI | POLLOUT, 0)
  const bytes = askNumber(end, FIONREAD) ?? 0
  if (bytes > MOST_BYTES) throw tooMuch(end)
  return { ready, bytes }
}

/** Half a line, and ends of lines, count too, and are seen only once they have been read. */
function refuseMuch(master: SeenDescription, { lines, line }: PtyData): void {
  const bytes = lines.reduce((sum, one) => sum + one.length + (one.at(-1) === NEWLINE ? 0 : 1), line.length)
  if (bytes > MOST_BYTES) throw tooMuch(master)
}

const tooMuch = (end: SeenDescription): Error =>
  refusal(end, 'THAW_PTY_DATA', `is ${end.link}, a pseudo-terminal with more than ${MOST_BYTES} bytes in it that were not read`, READ)

const disturbed = ({ process: { pid, name } }: SeenDescription, number: number): CheckpointError =>
  new CheckpointError(
    'THAW_PTY_DISTURBED',
    `Cannot checkpoint pid ${pid} (${name}): what stands in pseudo-terminal ${number} could not be read and put back.`,
    { pid },
  )
