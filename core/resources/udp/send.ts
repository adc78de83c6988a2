/** Queues of UDP sockets in programs: each datagram comes anew, over the loopback, in its sender's name. */
import type { Cell } from '../../program/bundle.js'
import type { Emitter } from '../description.js'
import { closeDescriptor } from '../emission.js'
import { isAnywhere, isV4, portOf } from '../socket/address.js'
import { setInt } from '../socket/emission.js'
import { AF_INET, AF_INET6, SO_RCVBUF, SOL_SOCKET } from '../socket/option-table.js'
import type { Datagram } from './datagrams.js'
import { bytesOf, packet } from './packet.js'

const SOCK_RAW_CLOEXEC = 3 | 0o2000000
const IPPROTO_RAW = 255
const MEMINFO_WORDS = 9
const MEMINFO_DROPS = 8
const SO_MEMINFO = 55
const POLLIN = 1
const ARRIVAL_MS = 1000
/** The kernel gives as much as it may. */
const MOST_ROOM = 0x3fff_ffff

/** The socket is bound, and not connected yet: it may hold what came before it was. The caller sets the sizes of buffers afterwards. */
export function sendDatagrams(emitter: Emitter, fd: Cell, address: Uint8Array, datagrams: readonly Datagram[]): void {
  if (datagrams.length === 0) return
  const { program, bundle } = emitter
  program.for(`datagrams of UDP port ${portOf(address)}`, () => {
    setInt(program, fd, SOL_SOCKET, SO_RCVBUF, MOST_ROOM)
    for (const { data, sender } of datagrams) {
      const to = destination(address, sender)
      const raw = program.call('socket', [isV4(to) ? AF_INET : AF_INET6, SOCK_RAW_CLOEXEC, IPPROTO_RAW])
      const bytes = packet(sender, to, data)
      const name = nameOf(to)
      program.call('sendto', [raw, bundle.bytes(bytes), bytes.length, 0, bundle.bytes(name), name.length], { equal: bytes.length })
      closeDescriptor(program, raw)
    }
    const pollFd = bundle.allocate(8)
    program.store(pollFd, fd, 4)
    program.store(pollFd + 4n, POLLIN, 2)
    program.call('poll', [pollFd, 1, ARRIVAL_MS], { equal: 1 })
    expectNoneDropped(emitter, fd)
  })
}

/** Where the socket gets it: its own address, or, where it has any, the machine itself. */
function destination(address: Uint8Array, sender: Uint8Array): Uint8Array {
  if (!isAnywhere(address)) return address
  const to = address.slice()
  if (!isV4(sender)) to[8 + 15] = 1
  else if (to.length < 28) to.set([127, 0, 0, 1], 4)
  else to.set([0xff, 0xff, 127, 0, 0, 1], 18)
  return to
}

/** For a raw socket: without a port. */
function nameOf(to: Uint8Array): Uint8Array {
  const v4 = isV4(to)
  const name = new Uint8Array(v4 ? 16 : 28)
  new DataView(name.buffer).setUint16(0, v4 ? AF_INET : AF_INET6, true)
  name.set(bytesOf(to), v4 ? 4 : 8)
  return name
}

function expectNoneDropped({ program, bundle }: Emitter, fd: Cell): void {
  const words = bundle.allocate(MEMINFO_WORDS * 4)
  const length = bundle.words(MEMINFO_WORDS * 4)
  program.call('getsockopt', [fd, SOL_SOCKET, SO_MEMINFO, words, length])
  const dropped = program.load(words + BigInt(MEMINFO_DROPS * 4), 4)
  const none = program.jump(0, 'equal', dropped, 0)
  program.for('they do not fit its buffer (net.core.rmem_max)', () => program.call('close', [-1]))
  none.target = program.here
}
