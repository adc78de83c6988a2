/** Making a file that has no name any more. */
import { dirname } from 'node:path'
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import { firstThatWorks } from './emission.js'
import { AT_FDCWD, O_CLOEXEC, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR, O_TMPFILE } from './open-flags.js'

const MFD_CLOEXEC = 1

/**
 * Under its old name where that is free, so that /proc shows the same; else without any name in the same folder; else in memory. Open for
 * reading and writing.
 *
 * @param isTmpfile it never had a name (O_TMPFILE)
 */
export function emitNamelessFile(program: Program, path: string, isTmpfile: boolean): Cell {
  const name = program.bundle.string(path)
  const flags = O_RDWR | O_CLOEXEC
  const named = (into: Cell): void => {
    program.callInto(into, 'openat', [AT_FDCWD, name, flags | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600], 'any')
    const failed = program.jump(0, 'less', into, 0)
    program.call('unlink', [name])
    failed.target = program.here
  }
  const folder = program.bundle.string(dirname(path))
  const nameless = (into: Cell): void => program.callInto(into, 'openat', [AT_FDCWD, folder, flags | O_TMPFILE, 0o600], 'any')
  const inMemory = (into: Cell): void => program.callInto(into, 'memfd_create', [program.bundle.string('thaw-deleted'), MFD_CLOEXEC])
  return firstThatWorks(program, 'deleted file', isTmpfile ? [nameless, inMemory] : [named, nameless, inMemory])
}
