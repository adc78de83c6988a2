/** Options of TCP sockets that a connection makes of itself, beside those that the program sets. */
import type { SeenDescription } from '../description.js'
import { intOf, IPPROTO_TCP, SO_BUF_LOCK, SO_RCVBUF, SO_SNDBUF, SOL_SOCKET } from '../socket/option-table.js'
import { collectOptions } from '../socket/options.js'
import type { SocketOption } from '../socket/options.js'
import { socketInt } from '../socket/seen-socket.js'
import type { TcpBuffers } from './buffers.js'

const SOCK_STREAM = 1
const SNDBUF_LOCK = 1
const RCVBUF_LOCK = 2
/** Largest segment, processor; what an accepted connection keeps of its first packet in the places of multicast TTL and hops. */
const ownOptions: ReadonlySet<string> = new Set(['6:2', '1:49', '0:33', '41:18'])

/** Of the sizes of buffers those that were set; others the kernel changes as it sees fit. */
export function collectSetOptions(seen: SeenDescription, family: number): SocketOption[] {
  const locks = intOption(seen, SO_BUF_LOCK)
  const isFree = ({ level, option }: SocketOption): boolean =>
    level === SOL_SOCKET && ((option === SO_SNDBUF && (locks & SNDBUF_LOCK) === 0) || (option === SO_RCVBUF && (locks & RCVBUF_LOCK) === 0))
  return collectOptions(seen, family, SOCK_STREAM, IPPROTO_TCP).filter(
    (option) => !ownOptions.has(`${option.level}:${option.option}`) && !isFree(option),
  )
}

/** The size that a socket needs while what it has to send is put into it again: also one that was set, which is set last. */
export function roomToSend({
  sendBuffer,
  options,
}: Pick<TcpBuffers, 'sendBuffer'> & { readonly options: readonly SocketOption[] }): number {
  const set = options.find(({ level, option }) => level === SOL_SOCKET && option === SO_SNDBUF)
  return set === undefined ? sendBuffer : intOf(set.value)
}

/** The sizes that were not set. */
export function collectBuffers(seen: SeenDescription): TcpBuffers {
  const locks = intOption(seen, SO_BUF_LOCK)
  const size = (lock: number, option: number): number => ((locks & lock) === 0 ? intOption(seen, option) : 0)
  return { sendBuffer: size(SNDBUF_LOCK, SO_SNDBUF), receiveBuffer: size(RCVBUF_LOCK, SO_RCVBUF) }
}

const intOption = (seen: SeenDescription, option: number): number => socketInt(seen, SOL_SOCKET, option)
