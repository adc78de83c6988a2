/**
 * Sizes of buffers that the kernel chose as a connection was used: beyond what an unprivileged process may ask for, but a new socket may start with
 * any size in a network of its own (net.ipv4.tcp_wmem and tcp_rmem, which are the network's).
 */
import type { Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import type { Emitter } from '../description.js'
import { closeDescriptor } from '../emission.js'
import { AT_FDCWD, O_CLOEXEC, O_RDWR } from '../open-flags.js'
import { emitSocket, setInt } from '../socket/emission.js'
import { IPPROTO_TCP, SO_BUF_LOCK, SOL_SOCKET } from '../socket/option-table.js'

export interface TcpBuffers {
  /** Bytes; 0: the program has set it itself. */
  sendBuffer: number
  receiveBuffer: number
}

const SOCK_STREAM = 1
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
const LEAST = 4096
const TEXT_BYTES = 96

export function openWithBuffers(emitter: Emitter, family: number, { sendBuffer, receiveBuffer }: TcpBuffers): Cell {
  const { program } = emitter
  const make = (): Cell => emitSocket(emitter, family, SOCK_STREAM, IPPROTO_TCP)
  if (emitter.ownNetwork) return withDefault(program, 'tcp_wmem', sendBuffer, () => withDefault(program, 'tcp_rmem', receiveBuffer, make))
  const fd = make()
  // The kernel doubles what it is asked for (socket(7)).
  if (sendBuffer > 0) setInt(program, fd, SOL_SOCKET, SO_SNDBUFFORCE, sendBuffer / 2)
  if (receiveBuffer > 0) setInt(program, fd, SOL_SOCKET, SO_RCVBUFFORCE, receiveBuffer / 2)
  setInt(program, fd, SOL_SOCKET, SO_BUF_LOCK, 0)
  return fd
}

/** Emits `make` with another default for new sockets. */
function withDefault(program: Program, setting: string, size: number, make: () => Cell): Cell {
  if (size === 0) return make()
  const { bundle } = program
  const file = program.call('openat', [AT_FDCWD, bundle.string(`/proc/sys/net/ipv4/${setting}`), O_RDWR | O_CLOEXEC, 0])
  const before = bundle.allocate(TEXT_BYTES)
  const length = program.call('pread64', [file, before, TEXT_BYTES, 0])
  const text = Buffer.from(`${LEAST} ${size} ${size}`)
  program.call('pwrite64', [file, bundle.bytes(text), text.length, 0], { equal: text.length })
  const made = make()
  program.call('pwrite64', [file, before, length, 0])
  closeDescriptor(program, file)
  return made
}
