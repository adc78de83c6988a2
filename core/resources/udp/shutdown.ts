/** What a UDP socket is shut down for. It takes datagrams on, and always counts as readable then, so that what waits has to be asked otherwise. */
import { native } from '../../../native/index.js'
import type { SeenDescription } from '../description.js'
import { portOf } from '../socket/address.js'
import { ANY_STATE, socketsOfPort } from '../socket/inet-diag.js'
import { AF_INET, IPPROTO_UDP } from '../socket/option-table.js'
import { socketOf } from '../socket/seen-socket.js'
import { RCV_SHUTDOWN, SHUTDOWN_BOTH } from '../socket/shutdown.js'
import { inodeOf } from '../unix/diag.js'

export interface UdpShutdown {
  /** RCV_SHUTDOWN 1, SEND_SHUTDOWN 2. */
  readonly mask: number
  /** Memory that holds what was not read; undefined where the kernel does not tell. */
  readonly queuedBytes: number | undefined
}

const POLLHUP = 0x10
const POLLRDHUP = 0x2000

/** Without a port it has no place in the kernel's lists, and without CONFIG_INET_UDP_DIAG these are not shown: then poll(2) tells a part. */
export function readShutdown(seen: SeenDescription): UdpShutdown {
  const port = portOf(native.getsockname(seen.duplicate()))
  const sockets = port === 0 ? [] : socketsOfPort(seen, socketOf(seen)?.family ?? AF_INET, port, ANY_STATE, IPPROTO_UDP)
  const told = sockets.find(({ inode }) => inode === inodeOf(seen))
  if (told !== undefined) return { mask: told.shutdown, queuedBytes: told.queuedBytes }
  const events = native.poll(seen.duplicate(), POLLRDHUP, 0)
  const mask = (events & POLLHUP) !== 0 ? SHUTDOWN_BOTH : (events & POLLRDHUP) !== 0 ? RCV_SHUTDOWN : 0
  return { mask, queuedBytes: port === 0 ? 0 : undefined }
}
