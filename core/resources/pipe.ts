/** Pipes between descriptors of the tree: data, packets, size, and ends that are closed. */
import type { Cell } from '../program/bundle.js'
import { defineKind } from './description.js'
import type { DescriptionKind, Emitter } from './description.js'
import { closeDescriptor, raisePair, reopen } from './emission.js'
import { native } from '../../native/index.js'
import { O_ACCMODE, O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } from './open-flags.js'
import { endsOf, otherEndInTree } from './other-end.js'
import { emitSize, F_GETPIPE_SZ, fillPipe, readPipe } from './pipe-data.js'
import type { PipeChunk } from './pipe-data.js'
import { refusal } from './refusal.js'

export interface Pipe {
  inode: bigint
  sizeBytes: number
  /** Kept with the first description of the pipe. */
  chunks: PipeChunk[]
}

interface End {
  readonly fd: Cell
  taken: boolean
}

export const pipe: DescriptionKind<unknown> = defineKind<Pipe>({
  name: 'pipe',
  support: {
    topic: 'descriptors',
    carried: 'pipes with their data',
    refused: { THAW_PIPE_OUTSIDE: 'pipes with an end outside (other than the standard streams)' },
  },

  recognises: ({ link }) => link.startsWith('pipe:['),

  collect(seen, tree) {
    if (otherEndInTree(seen, tree) === 'outside')
      throw refusal(
        seen,
        'THAW_PIPE_OUTSIDE',
        `is a pipe (${seen.link}) whose other end is outside the tree`,
        'Start the process at the other end inside the fixture, or close the pipe in the warm-up.',
      )
    const isFirst = endsOf(seen, tree)[0] === seen
    return {
      inode: seen.status.inode,
      sizeBytes: native.fcntl(seen.duplicate(), F_GETPIPE_SZ),
      chunks: isFirst && tree.frozen ? readPipe(seen, tree) : [],
    }
  },

  open(pipe, emitter, flags) {
    const [reader, writer] = endsFor(pipe, emitter)
    const access = flags & O_ACCMODE
    const end = access === O_RDONLY ? reader : writer
    // Opened once more through /proc by the process itself, or for both reading and writing.
    if (access === O_RDWR || end.taken) return reopen(emitter, end.fd, access | O_NONBLOCK)
    end.taken = true
    return end.fd
  },

  connect(pipe, emitter) {
    for (const end of endsFor(pipe, emitter)) {
      if (!end.taken) closeDescriptor(emitter.program, end.fd)
      end.taken = true
    }
  },
})

function endsFor(pipe: Pipe, emitter: Emitter): readonly [End, End] {
  return emitter.shared('pipe', pipe.inode, () => {
    const { program } = emitter
    const address = program.bundle.allocate(8)
    program.call('pipe2', [address, O_CLOEXEC | O_NONBLOCK])
    const [reader, writer] = raisePair(emitter, address)
    emitSize(program, writer, pipe.sizeBytes)
    fillPipe(program, writer, O_WRONLY, pipe.chunks)
    return [
      { fd: reader, taken: false },
      { fd: writer, taken: false },
    ] as const
  })
}
