/** FIFOs (fifo(7)): opened again by path, or made anew where the name is gone, with the data that stood in them. */
import { native } from '../../native/index.js'
import type { Cell } from '../program/bundle.js'
import { defineKind } from './description.js'
import type { DescriptionKind, Emitter } from './description.js'
import { closeDescriptor, reopen } from './emission.js'
import { locate } from './file-path.js'
import { isOfInstance } from './memory-files.js'
import {
  AT_FDCWD,
  O_ACCMODE,
  O_ASYNC,
  O_CLOEXEC,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  S_IFIFO,
  S_IFMT,
} from './open-flags.js'
import { endsOf, isHungUp, otherEndInTree } from './other-end.js'
import { emitSize, F_GETPIPE_SZ, fillPipe, readPipe } from './pipe-data.js'
import type { PipeChunk } from './pipe-data.js'
import { refusal } from './refusal.js'

export interface NamedPipe {
  path: string
  device: bigint
  inode: bigint
  deleted: boolean
  mode: number
  uid: number
  gid: number
  /** A reader that had a writer and has none any more: poll says so. */
  hungUp: boolean
  sizeBytes: number
  /** Kept with the first description of the FIFO. */
  chunks: PipeChunk[]
}

const ENXIO = 6

interface OpenFifo {
  isOpen: boolean
  /** Both ends in one, for as long as descriptions are opened: holds the data and makes that no open fails or waits. */
  helper: Cell | undefined
  hasReader: boolean
}

export const namedPipe: DescriptionKind<unknown> = defineKind<NamedPipe>({
  name: 'named_pipe',
  support: { topic: 'descriptors', carried: 'named pipes with their data' },

  recognises: ({ link, status, info }) => (status.mode & S_IFMT) === S_IFIFO && link.startsWith('/') && (info.flags & O_PATH) === 0,

  collect(seen, tree) {
    const located = locate(seen, tree)
    if (otherEndInTree(seen, tree) === 'outside')
      throw refusal(
        seen,
        'THAW_PIPE_OUTSIDE',
        `is the named pipe ${located.path}, whose other end is open outside the tree`,
        'Start the process at the other end inside the fixture, or close the pipe in the warm-up.',
      )
    const { device, inode, mode, uid, gid } = seen.status
    return {
      path: located.path,
      device,
      inode,
      deleted: located.how === 'deleted',
      mode: mode & 0o7777,
      uid,
      gid,
      hungUp: (seen.info.flags & O_ACCMODE) === O_RDONLY && isHungUp(seen),
      sizeBytes: native.fcntl(seen.duplicate(), F_GETPIPE_SZ),
      chunks: tree.frozen && endsOf(seen, tree)[0] === seen ? readPipe(seen, tree) : [],
    }
  },

  // What is written to it, now or later, is for the tree alone, and it ends when the tree has closed it.
  exclusion: ({ deleted, path }, { memoryFiles }) => (deleted || isOfInstance(memoryFiles, path) ? 'none' : 'existing'),

  open(fifo, emitter, flags) {
    const state = stateOf(fifo, emitter)
    const access = flags & O_ACCMODE
    const isFirst = !state.isOpen
    state.isOpen = true
    if (isFirst && !fifo.deleted) refuseReaders(fifo, emitter)
    const needsHelper = fifo.deleted || fifo.hungUp || fifo.chunks.length > 0 || (access === O_WRONLY && !state.hasReader)
    if (needsHelper && state.helper === undefined) state.helper = openHelper(fifo, emitter)
    if (access !== O_WRONLY) state.hasReader = true
    if (fifo.deleted && state.helper !== undefined) return reopen(emitter, state.helper, flags | O_NONBLOCK)
    const fd = emitter.raise(openPath(fifo, emitter, flags))
    if (isFirst && state.helper === undefined) emitSize(emitter.program, fd, fifo.sizeBytes)
    return fd
  },

  connect(fifo, emitter) {
    const state = stateOf(fifo, emitter)
    if (state.helper !== undefined) closeDescriptor(emitter.program, state.helper)
    state.helper = undefined
  },
})

function stateOf({ device, inode }: NamedPipe, emitter: Emitter): OpenFifo {
  return emitter.shared('named-pipe', `${device}:${inode}`, () => ({ isOpen: false, helper: undefined, hasReader: false }))
}

function openPath({ path }: NamedPipe, { program }: Emitter, flags: number): Cell {
  return program.call('openat', [AT_FDCWD, program.bundle.string(path), (flags & ~(O_NOFOLLOW | O_ASYNC)) | O_NONBLOCK | O_CLOEXEC, 0])
}

/**
 * Nobody else may be there to read what is the tree's. Without a reader, opening for writing fails; for who may not write, in another way,
 * which tells nothing.
 */
function refuseReaders({ path }: NamedPipe, { program }: Emitter): void {
  const args = [AT_FDCWD, program.bundle.string(path), O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0]
  program.for(`nobody else reads from ${path}`, () => {
    const failed = program.jump(0, 'less', program.call('openat', args, 'any'), 0)
    program.call('openat', args, { equal: -ENXIO })
    failed.target = program.here
  })
}

function openHelper(fifo: NamedPipe, emitter: Emitter): Cell {
  const { program } = emitter
  const name = program.bundle.string(fifo.path)
  if (fifo.deleted) program.call('mknodat', [AT_FDCWD, name, S_IFIFO | 0o600, 0])
  const helper = emitter.raise(openPath(fifo, emitter, O_RDWR))
  if (fifo.deleted) {
    program.call('unlink', [name])
    program.call('fchown', [helper, fifo.uid, fifo.gid])
    program.call('fchmod', [helper, fifo.mode])
  }
  // Also proves that it is a pipe: data must not be written into a file that stands at the path by now.
  emitSize(program, helper, fifo.sizeBytes)
  fillPipe(program, helper, O_RDWR, fifo.chunks)
  return helper
}
