/** Folders that were removed while somebody was in them: empty for ever. A new one is made under the old name, and removed again. */
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { native } from '../../native/index.js'
import type { DescriptionModel, DescriptorModel } from '../image/model.js'
import type { Program } from '../program/program.js'
import { AT_FDCWD } from './open-flags.js'
import type { RegularFile } from './regular-file.js'

/** A removed folder that is a working directory. */
export interface RemovedFolder {
  device: bigint
  inode: bigint
  mode: number
  uid: number
  gid: number
  /** Nanoseconds since 1970. */
  accessed: bigint
  modified: bigint
}

/** @param through a link in /proc that leads to it */
export function collectRemoved(through: string): RemovedFolder {
  const { device, inode, mode, uid, gid } = native.statPath(through)
  const { atimeNs: accessed, mtimeNs: modified } = statSync(through, { bigint: true })
  return { device, inode, mode: mode & 0o7777, uid, gid, accessed, modified }
}

/** The folder stands at its path while what `use` emits is done; and so do those above it that are gone, too. */
export function emitStanding(program: Program, path: string, use: () => void): void {
  const above: string[] = []
  for (let folder = dirname(path); folder !== '/'; folder = dirname(folder)) above.unshift(folder)
  const made = above.map((folder) => {
    const name = program.bundle.string(folder)
    return { name, result: program.call('mkdirat', [AT_FDCWD, name, 0o700], 'any') }
  })
  const name = program.bundle.string(path)
  program.call('mkdirat', [AT_FDCWD, name, 0o700])
  use()
  program.call('rmdir', [name])
  for (const { name, result } of made.toReversed()) {
    const stood = program.jump(0, 'less', result, 0)
    program.call('rmdir', [name])
    stood.target = program.here
  }
}

/** Changes to the removed folder: to that of a descriptor of the process, where one leads to the same. */
export function emitChangeToRemoved(
  program: Program,
  path: string,
  folder: RemovedFolder,
  descriptors: readonly DescriptorModel[],
  descriptions: readonly DescriptionModel[],
): void {
  const open = descriptors.find(({ description }) => descriptions.some((model) => model.id === description && isOf(model, folder)))
  if (open !== undefined) {
    program.call('fchdir', [open.fd])
    return
  }
  const { mode, uid, gid, accessed, modified } = folder
  emitStanding(program, path, () => {
    const [here, name] = [program.bundle.string('.'), program.bundle.string(path)]
    program.call('chdir', [name])
    program.call('fchownat', [AT_FDCWD, here, uid, gid, 0])
    program.call('utimensat', [AT_FDCWD, here, program.bundle.words(...timespec(accessed), ...timespec(modified)), 0])
    // Last: it may take the right to look up "." itself.
    program.call('fchmodat', [AT_FDCWD, name, mode])
  })
}

function isOf({ kind, payload }: DescriptionModel, { device, inode }: RemovedFolder): boolean {
  if (kind !== 'regular_file') return false
  const file = payload as RegularFile
  return file.folder && file.device === device && file.inode === inode
}

const timespec = (ns: bigint): [bigint, bigint] => [ns / 1_000_000_000n, ns % 1_000_000_000n]
