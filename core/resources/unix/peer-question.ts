/** SO_PEERCRED as the process itself sees it: the pid of a peer that is gone is known in its own pid namespace only. */
import type { Argument, Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import type { AskInside, Flight } from '../description.js'
import { intBytes, SO_PASSCRED, SO_PEEK_OFF, SOL_SOCKET } from '../socket/option-table.js'

export const SO_PEERCRED = 17
/** struct ucred. */
export const UCRED_BYTES = 12

const MSG_PEEK = 0x2
const MSG_DONTWAIT = 0x40
const MSG_CMSG_CLOEXEC = 0x4000_0000
const ENOPROTOOPT = 92
const SO_PASSSEC = 34
/** Since Linux 6.5. */
const SO_PASSPIDFD = 76
/** With these, other things come with a message than what was sent along. */
const NOT_ASKED_FOR = [SO_PASSCRED, SO_PASSSEC, SO_PASSPIDFD].map((option) => [option, 0] as const)
/** struct cmsghdr: `size_t cmsg_len; int cmsg_level, cmsg_type`, then the descriptors. */
const CMSG_HEADER = 16

export function askPeer(fd: Argument, tell: (pid: number) => void): AskInside {
  return (program) => {
    const address = program.bundle.allocate(16)
    program.call('getsockopt', [fd, SOL_SOCKET, SO_PEERCRED, address, program.bundle.words(UCRED_BYTES)])
    return (results) => tell(new Int32Array(results.bytes(address, UCRED_BYTES).slice().buffer)[0] ?? 0)
  }
}

/**
 * The same of a socket in flight: a look at its message gives the process descriptors of what it brings along, for as long as it asks. Only
 * where that is sockets alone: closing another descriptor of a file would release the locks that the process has on it.
 *
 * @param tell is told 0 where the process has no room for descriptors
 */
export function askPeerInFlight({ queue, offset, index, count }: Flight, tell: (pid: number) => void): AskInside {
  return (program) => {
    const rights = program.bundle.allocate(CMSG_HEADER + count * 4)
    withOptions(program, queue.fd, new Map([[SO_PEEK_OFF, offset], ...NOT_ASKED_FOR]), () =>
      lookAtMessage(program, queue.fd, rights, CMSG_HEADER + count * 4),
    )
    const length = program.load(rights, 8)
    let read: ReturnType<AskInside> = () => undefined
    const absent = Array.from({ length: count }, (_, i) => {
      const beyond = program.jump(0, 'less', length, CMSG_HEADER + (i + 1) * 4)
      const fd = program.load(rights + BigInt(CMSG_HEADER + i * 4), 4)
      if (i === index) read = askPeer(fd, tell)(program)
      program.call('close', [fd])
      return beyond
    })
    for (const jump of absent) jump.target = program.here
    return (results) => read(results)
  }
}

/** One byte of a message is enough to get what comes along with it. */
function lookAtMessage(program: Program, fd: number, control: bigint, controlBytes: number): Cell {
  const { bundle } = program
  const header = bundle.words(0, 0, bundle.words(bundle.allocate(8), 1), 1, control, controlBytes, 0)
  return program.call('recvmsg', [fd, header, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC], 'any')
}

/** Sets options for a while; those that the kernel does not know are left alone. */
function withOptions(program: Program, fd: number, values: ReadonlyMap<number, number>, build: () => void): void {
  const { bundle } = program
  const set = (option: number, value: bigint): Cell =>
    program.call('setsockopt', [fd, SOL_SOCKET, option, value, 4], { orErrno: ENOPROTOOPT })
  const before = [...values.keys()].map((option) => {
    const value = bundle.allocate(4)
    program.call('getsockopt', [fd, SOL_SOCKET, option, value, bundle.words(4)], { orErrno: ENOPROTOOPT })
    return [option, value] as const
  })
  for (const [option, value] of values) set(option, bundle.bytes(intBytes(value)))
  build()
  for (const [option, value] of before) set(option, value)
}
