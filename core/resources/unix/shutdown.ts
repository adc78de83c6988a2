/** What is shut down of a socket: RCV_SHUTDOWN 1, SEND_SHUTDOWN 2. */
const SHUT_RDWR = 2
const BOTH = 3

/** SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2 from the mask. */
export const howOf = (mask: number): number => (mask === BOTH ? SHUT_RDWR : mask - 1)
