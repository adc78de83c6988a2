/**
 * Names of unix sockets. A name in the file system is bound again where it was; who finds a socket of the image's at the path takes
 * its place. A file that was deleted or renamed after the bind is deleted or renamed again, once nobody needs the name any more.
 */
import { readdirSync, readlinkSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { native } from '../../../native/index.js'
import type { FileStatus } from '../../../native/index.js'
import type { Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import { homeOf } from '../description.js'
import type { Emitter, SeenDescription } from '../description.js'
import { AT_FDCWD, S_IFMT, S_IFSOCK } from '../open-flags.js'
import { refusal } from '../refusal.js'
import { AF_UNIX } from '../socket/option-table.js'

export interface SocketFile {
  path: string
  /** Where a relative name started; empty for an absolute one. */
  folder: string
  /** Where the file is now; empty when it is gone. */
  current: string
  mode: number
  uid: number
  gid: number
}

const AT_SYMLINK_NOFOLLOW = 0x100
const STATX_TYPE_MODE = 0x3
const STATX_BYTES = 256
const STX_MODE = 28

export const isPath = (address: Uint8Array): boolean => address.length > 0 && address[0] !== 0

/** `@name` for abstract ones, as ss(8) prints them. */
export function printName(address: Uint8Array): string {
  return isPath(address)
    ? Buffer.from(address).toString('utf8').replace(/\0.*$/s, '')
    : Buffer.from(address).toString('latin1').replaceAll('\0', '@')
}

/** @param inode of the file that was bound; undefined when nobody in the tree knows it any more */
export function collectFile(seen: SeenDescription, address: Uint8Array, inode: number | undefined): SocketFile | null {
  if (!isPath(address)) return null
  const { pid, rootPath } = homeOf(seen)
  const name = printName(address)
  const folder = name.startsWith('/') ? '' : readlinkSync(`/proc/${pid}/cwd`)
  if (folder.endsWith(' (deleted)') && statusOf(rootPath + folder) === undefined)
    throw refusal(
      seen,
      'THAW_WORKING_DIRECTORY',
      `is a unix socket with the relative name ${name}, while the working directory ${folder} is gone`,
      'Close the socket in the warm-up, or bind it to an absolute path.',
    )
  const path = resolve(folder, name)
  const current = [path, ...namesIn(rootPath, dirname(path))].find((candidate) => isSocketFile(rootPath + candidate, inode))
  if (current !== undefined) {
    const { mode, uid, gid } = native.statPath(rootPath + current, false)
    return { path, folder, current, mode, uid, gid }
  }
  if (statusOf(rootPath + path) !== undefined)
    throw refusal(
      seen,
      'THAW_UNIX_NAME_TAKEN',
      `is a unix socket with the name ${path}, where another file stands by now`,
      'Close the socket in the warm-up, or leave its file where it is.',
    )
  return { path, folder, current: '', mode: S_IFSOCK, uid: 0, gid: 0 }
}

function namesIn(root: string, folder: string): string[] {
  try {
    return readdirSync(root + folder).map((name) => resolve(folder, name))
  } catch {
    return []
  }
}

function statusOf(path: string): FileStatus | undefined {
  try {
    return native.statPath(path, false)
  } catch {
    return undefined
  }
}

/** sock_diag has 32 bits of the inode. */
function isSocketFile(path: string, inode: number | undefined): boolean {
  const status = statusOf(path)
  return status !== undefined && (status.mode & S_IFMT) === S_IFSOCK && Number(status.inode & 0xffff_ffffn) === inode
}

/** struct sockaddr_un. */
export function socketAddress(address: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(2 + address.length)
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true)
  bytes.set(address, 2)
  return bytes
}

/** bind or connect with a name, from the folder in which it starts. */
export function callWithName(program: Program, call: 'bind' | 'connect', fd: Cell, address: Uint8Array, folder: string): void {
  const bytes = socketAddress(address)
  if (folder !== '') program.call('chdir', [program.bundle.string(folder)])
  program.call(call, [fd, program.bundle.bytes(bytes), bytes.length])
  if (folder !== '') program.call('chdir', [program.bundle.string('/')])
}

export function emitBind({ program }: Emitter, fd: Cell, address: Uint8Array, file: SocketFile | null): void {
  program.for(`name ${printName(address)}`, () => {
    if (file?.current === file?.path && file !== null) replaceOwn(program, file)
    callWithName(program, 'bind', fd, address, file?.folder ?? '')
    if (file === null || file.current === '') return
    const path = program.bundle.string(file.path)
    if (file.uid !== process.geteuid?.() || file.gid !== process.getegid?.())
      program.call('fchownat', [AT_FDCWD, path, file.uid, file.gid, AT_SYMLINK_NOFOLLOW])
    program.call('fchmodat', [AT_FDCWD, path, file.mode & 0o7777])
  })
}

/** Removes what stands at the path if it is a socket with the same permissions; whatever else it is makes the bind fail. */
function replaceOwn(program: Program, file: SocketFile): void {
  const path = program.bundle.string(file.path)
  const status = program.bundle.allocate(STATX_BYTES)
  const found = program.call('statx', [AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_TYPE_MODE, status], 'any')
  const absent = program.jump(0, 'less', found, 0)
  const foreign = program.jump(0, 'not-equal', program.load(status + BigInt(STX_MODE), 2), file.mode)
  program.call('unlink', [path])
  absent.target = program.here
  foreign.target = program.here
}

/** What happened to the file after the bind. */
export function emitAftermath({ program }: Emitter, file: SocketFile | null): void {
  if (file === null || file.current === file.path) return
  const path = program.bundle.string(file.path)
  if (file.current === '') program.call('unlink', [path])
  else program.call('rename', [path, program.bundle.string(file.current)])
}
