/**
 * Standard streams: a terminal, or a pipe or socket whose other end is outside the tree, at descriptor 0, 1 or 2. They are connected to the
 * streams that the restore is given.
 */
import { contradiction } from '../image/contradiction.js'
import type { Cell } from '../program/bundle.js'
import { defineKind } from './description.js'
import type { DescriptionKind, Emitter, SeenDescription, SeenTree } from './description.js'
import { O_ACCMODE, O_PATH, O_RDWR, S_IFCHR, S_IFMT } from './open-flags.js'
import { otherEndInTree } from './other-end.js'
import { refusal } from './refusal.js'

export interface StandardStream {
  /** 0, 1 or 2. */
  stream: number
  /** A terminal or socket goes both ways, and may be one description at all three numbers; the streams of a restore are three. */
  bothWays: boolean
}

const TTY_MAJORS: ReadonlySet<bigint> = new Set([4n, 5n, 136n, 137n, 138n, 139n, 140n, 141n, 142n, 143n, 204n, 229n])
const STREAMS = 3
const F_GETFD = 1
const F_SETFD = 2

const majorOf = (rdev: bigint): bigint => (rdev >> 8n) & 0xfffn

function isTerminal({ status, info }: SeenDescription): boolean {
  return (status.mode & S_IFMT) === S_IFCHR && (info.flags & O_PATH) === 0 && TTY_MAJORS.has(majorOf(status.rdev))
}

const atStream = ({ fd }: SeenDescription): boolean => fd < STREAMS

/** Which of the streams a description stands for, with the terminal's or the pipe's other descriptions. */
export function standardStreamOf(seen: SeenDescription, tree: SeenTree): number | undefined {
  if (isTerminal(seen))
    return atStream(seen)
      ? seen.fd
      : tree.descriptions.find((other) => isTerminal(other) && atStream(other) && other.status.rdev === seen.status.rdev)?.fd
  const isChannel = seen.link.startsWith('pipe:') || seen.link.startsWith('socket:')
  if (!isChannel || otherEndInTree(seen, tree) !== 'outside') return undefined
  if (atStream(seen)) return seen.fd
  return tree.descriptions.find((other) => atStream(other) && other.link === seen.link)?.fd
}

export const standardStream: DescriptionKind<unknown> = defineKind<StandardStream>({
  name: 'standard_stream',
  support: {
    topic: 'terminals',
    carried: 'the standard streams (connected anew)',
    refused: { THAW_TERMINAL: 'terminals with an end outside (other than the standard streams)' },
  },

  recognises: (seen, tree) => isTerminal(seen) || standardStreamOf(seen, tree) !== undefined,

  collect(seen, tree) {
    const stream = standardStreamOf(seen, tree)
    if (stream === undefined)
      throw refusal(
        seen,
        'THAW_TERMINAL',
        `is the terminal ${seen.link}, which is none of its standard streams`,
        'Close it in the warm-up, or start the process without a terminal.',
      )
    return { stream, bothWays: (seen.info.flags & O_ACCMODE) === O_RDWR }
  },

  open: ({ stream }, emitter) => emitter.raise(emitter.program.call('dup', [streamCell(emitter, stream)])),

  placeEach({ stream, bothWays }, emitter, placements) {
    if (!bothWays) return
    for (const { fd } of placements) if (fd < STREAMS && fd !== stream) replace(emitter, fd)
  },
})

function streamCell({ standardStreams }: Emitter, stream: number): Cell {
  const cell = standardStreams[stream]
  if (cell === undefined) throw contradiction(`there is no standard stream ${stream}`)
  return cell
}

function replace(emitter: Emitter, fd: number): void {
  const { program } = emitter
  const flags = program.call('fcntl', [fd, F_GETFD])
  program.call('dup3', [streamCell(emitter, fd), fd, 0])
  program.call('fcntl', [fd, F_SETFD, flags])
}
