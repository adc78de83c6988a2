/** What is shut down of a socket (shutdown(2)). */
import type { Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'

/** RCV_SHUTDOWN 1, SEND_SHUTDOWN 2. */
export const RCV_SHUTDOWN = 1
export const SHUTDOWN_BOTH = 3
const SHUT_RDWR = 2
const ENOTCONN = 107

/** SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2 from the mask. */
const howOf = (mask: number): number => (mask === SHUTDOWN_BOTH ? SHUT_RDWR : mask - 1)

/** Of an unconnected UDP socket, the kernel does it and says that it is not connected (inet_shutdown, net/ipv4/af_inet.c). */
export function emitShutdown(program: Program, fd: Cell, mask: number): void {
  if (mask !== 0) program.call('shutdown', [fd, howOf(mask)], { orErrno: ENOTCONN })
}
