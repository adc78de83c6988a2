/** Packet filters of sockets (SO_ATTACH_FILTER in socket(7)): programs of classic BPF, which the kernel gives back as they were attached. */
import { native } from '../../../native/index.js'
import type { Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import type { SeenDescription } from '../description.js'
import { refusal } from '../refusal.js'
import { intBytes, intOf, SO_ATTACH_FILTER, SO_LOCK_FILTER, SOL_SOCKET } from './option-table.js'
import type { SocketOption } from './options.js'

/** struct sock_filter. */
const INSTRUCTION_BYTES = 8
const SO_DETACH_FILTER = 27
/** BPF_RET | BPF_K with 0: nothing of a packet is kept. */
const NOTHING = Uint8Array.of(6, 0, 0, 0, 0, 0, 0, 0)

/** A filter, and that it is locked: set when a socket has all that it had before. */
export const isFilter = ({ level, option }: { level: number; option: number }): boolean =>
  level === SOL_SOCKET && (option === SO_ATTACH_FILTER || option === SO_LOCK_FILTER)

/** @param carried whether a restore has no need of packets that the filter may drop */
export function collectFilter(seen: SeenDescription, carried: boolean): SocketOption[] {
  const fd = seen.duplicate()
  const count = instructionsOf(fd)
  if (count === 0) return []
  if (count === undefined || !carried)
    throw refusal(
      seen,
      'THAW_SOCKET_FILTER',
      `is a ${count === undefined ? 'socket with an eBPF program' : 'TCP socket with a packet filter'}, which is not carried`,
      'Detach it in the warm-up.',
    )
  const value = new Uint8Array(count * INSTRUCTION_BYTES)
  native.syscall('getsockopt', [fd, SOL_SOCKET, SO_ATTACH_FILTER, value, intBytes(count)])
  return [{ level: SOL_SOCKET, option: SO_ATTACH_FILTER, value }]
}

/** Asked for none of its instructions, the kernel says how many there are; those of an eBPF program it does not give at all (EACCES). */
function instructionsOf(fd: number): number | undefined {
  const instructions = new Uint8Array(4)
  try {
    native.syscall('getsockopt', [fd, SOL_SOCKET, SO_ATTACH_FILTER, 0, instructions])
    return intOf(instructions)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') return undefined
    throw error
  }
}

/** struct sock_fprog. */
export function emitFilter(program: Program, fd: Cell, instructions: Uint8Array): void {
  const { bundle } = program
  const filter = bundle.words(instructions.length / INSTRUCTION_BYTES, bundle.bytes(instructions))
  program.call('setsockopt', [fd, SOL_SOCKET, SO_ATTACH_FILTER, filter, 16])
}

/** Lets nothing through, until `emitHearing`. */
export const emitDeaf = (program: Program, fd: Cell): void => emitFilter(program, fd, NOTHING)

export function emitHearing(program: Program, fd: Cell): void {
  program.call('setsockopt', [fd, SOL_SOCKET, SO_DETACH_FILTER, program.bundle.bytes(intBytes(0)), 4])
}
