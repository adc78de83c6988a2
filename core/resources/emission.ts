/** Turns of phrase that programs of several kinds share. */
import type { Argument, Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import type { Emitter } from './description.js'
import { AT_FDCWD, O_ASYNC, O_CLOEXEC, O_NOFOLLOW } from './open-flags.js'

export function closeDescriptor(program: Program, fd: Argument): void {
  program.call('close', [fd])
}

/** Tries one way after the other until a result is not negative. Only the last way may be required to work. */
export function firstThatWorks(program: Program, name: string, ways: readonly ((into: Cell) => void)[]): Cell {
  const result = program.bundle.cell(name)
  const done = ways.map((way) => {
    way(result)
    const failed = program.jump(0, 'less', result, 0)
    const worked = program.jump(0)
    failed.target = program.here
    return worked
  })
  for (const jump of done) jump.target = program.here
  return result
}

/** Two descriptors that a call wrote as two 32-bit numbers (pipe2, socketpair), raised. */
export function raisePair(emitter: Emitter, address: bigint): readonly [Cell, Cell] {
  const { program } = emitter
  return [emitter.raise(program.load(address, 4)), emitter.raise(program.load(address + 4n, 4))]
}

/** A description of its own for the same file, with other flags: opened anew through /proc, which also works for what has no name. */
export function reopen(emitter: Emitter, fd: Cell, flags: number): Cell {
  const { program } = emitter
  program.call('dup3', [fd, emitter.scratch, O_CLOEXEC])
  const path = program.bundle.string(`/proc/self/fd/${emitter.scratch}`)
  const again = program.call('openat', [AT_FDCWD, path, (flags & ~(O_NOFOLLOW | O_ASYNC)) | O_CLOEXEC, 0])
  closeDescriptor(program, emitter.scratch)
  return emitter.raise(again)
}
