/** Sockets in programs. */
import type { Argument, Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import type { Emitter } from '../description.js'
import { emitOptions } from './options.js'
import type { SocketOption } from './options.js'
import { intBytes, intOf, SO_REUSEADDR, SOL_SOCKET } from './option-table.js'

const SOCK_CLOEXEC = 0o2000000
const SOCK_NONBLOCK = 0o4000
export const SOCK_FLAGS: number = SOCK_CLOEXEC | SOCK_NONBLOCK

export function emitSocket(emitter: Emitter, family: number, type: number, protocol: number): Cell {
  return emitter.raise(emitter.program.call('socket', [family, type | SOCK_FLAGS, protocol]))
}

export function setInt(program: Program, fd: Argument, level: number, option: number, value: number): void {
  program.call('setsockopt', [fd, level, option, program.bundle.bytes(intBytes(value)), 4])
}

/**
 * Options, then the name, then what `then` emits. Connections of a predecessor that linger on the port (TIME_WAIT) must not keep a restore
 * from it: so the address is reusable until all is done.
 */
export function bindWithOptions(emitter: Emitter, fd: Cell, options: readonly SocketOption[], address: Uint8Array, then: () => void): void {
  const { program } = emitter
  const reusable = options.some(({ level, option, value }) => level === SOL_SOCKET && option === SO_REUSEADDR && intOf(value) !== 0)
  emitOptions(program, fd, options, 'all')
  if (!reusable) setInt(program, fd, SOL_SOCKET, SO_REUSEADDR, 1)
  program.call('bind', [fd, program.bundle.bytes(address), address.length])
  then()
  if (!reusable) setInt(program, fd, SOL_SOCKET, SO_REUSEADDR, 0)
}
