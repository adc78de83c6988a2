/**
 * Names of unix sockets. A name in the file system is bound again where it was; the file of a socket that is gone, with the permissions of the
 * image's, makes way for it, that of a living one does not. A file that was deleted or renamed after the bind is deleted or renamed again, once
 * nobody needs the name any more.
 */
import type { Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import type { Emitter } from '../description.js'
import { closeDescriptor } from '../emission.js'
import { AT_FDCWD, O_CLOEXEC, O_NOFOLLOW, O_PATH } from '../open-flags.js'
import { emitSocket } from '../socket/emission.js'
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

const SOCK_DGRAM = 2
const ECONNREFUSED = 111
const AT_SYMLINK_NOFOLLOW = 0x100
const AT_EMPTY_PATH = 0x1000
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

export function emitBind(emitter: Emitter, fd: Cell, address: Uint8Array, file: SocketFile | null): void {
  const { program } = emitter
  if (file !== null && file.current !== '' && file.current !== file.path) refuseLiving(emitter, file.current)
  program.for(purposeOf(file?.path ?? printName(address)), () => {
    if (file !== null && file.current !== '') replaceStale(emitter, file)
    callWithName(program, 'bind', fd, address, file?.folder ?? '')
    if (file === null || file.current === '') return
    const path = program.bundle.string(file.path)
    if (file.uid !== process.geteuid?.() || file.gid !== process.getegid?.())
      program.call('fchownat', [AT_FDCWD, path, file.uid, file.gid, AT_SYMLINK_NOFOLLOW])
    program.call('fchmodat', [AT_FDCWD, path, file.mode & 0o7777])
  })
}

const purposeOf = (name: string): string => `name ${name}`

/** Removes what stands at the path if it is the file of a socket that is gone, with the same permissions; whatever else it is makes the bind fail. */
function replaceStale(emitter: Emitter, { path, mode }: SocketFile): void {
  const { program } = emitter
  lookAt(emitter, path, (found) => {
    const status = program.bundle.allocate(STATX_BYTES)
    program.call('statx', [found, program.bundle.string(''), AT_EMPTY_PATH, STATX_TYPE_MODE, status])
    const foreign = program.jump(0, 'not-equal', program.load(status + BigInt(STX_MODE), 2), mode)
    requireStale(emitter)
    program.call('unlink', [program.bundle.string(path)])
    foreign.target = program.here
  })
}

/** Of what a file is renamed to, which replaces whatever stands there. */
function refuseLiving(emitter: Emitter, path: string): void {
  emitter.program.for(purposeOf(path), () => lookAt(emitter, path, () => requireStale(emitter)))
}

/** @param ask emits what is done if there is anything, with it open as the scratch descriptor */
function lookAt({ program, scratch }: Emitter, path: string, ask: (found: number) => void): void {
  const opened = program.call('openat', [AT_FDCWD, program.bundle.string(path), O_PATH | O_NOFOLLOW | O_CLOEXEC, 0], 'any')
  const absent = program.jump(0, 'less', opened, 0)
  program.call('dup3', [opened, scratch, O_CLOEXEC])
  closeDescriptor(program, opened)
  ask(scratch)
  closeDescriptor(program, scratch)
  absent.target = program.here
}

/**
 * Fails if anybody has the socket whose file is the scratch descriptor. The kernel finds that by the inode, in whatever network namespace it is,
 * before it compares types, and refuses only if there is none (unix_find_bsd, net/unix/af_unix.c). It is asked by a datagram socket, of which
 * no other hears: connections are another type's, and datagrams it sends none. Through /proc, as a path may be longer than a name.
 */
function requireStale(emitter: Emitter): void {
  const { program } = emitter
  const asking = emitSocket(emitter, AF_UNIX, SOCK_DGRAM, 0)
  const address = socketAddress(Buffer.from(`/proc/self/fd/${emitter.scratch}\0`))
  program.call('connect', [asking, program.bundle.bytes(address), address.length], { equal: -ECONNREFUSED })
  closeDescriptor(program, asking)
}

/** What happened to the file after the bind. */
export function emitAftermath(emitter: Emitter, file: SocketFile | null): void {
  if (file === null || file.current === file.path) return
  const { program } = emitter
  const path = program.bundle.string(file.path)
  if (file.current === '') program.call('unlink', [path])
  else {
    // Once more: it may have come since.
    refuseLiving(emitter, file.current)
    program.call('rename', [path, program.bundle.string(file.current)])
  }
}
