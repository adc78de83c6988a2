/** SO_PEERCRED as the process itself sees it: the pid of a peer that is gone is known in its own pid namespace only. */
import type { AskInside } from '../description.js'
import { SOL_SOCKET } from '../socket/option-table.js'

export const SO_PEERCRED = 17
/** struct ucred. */
export const UCRED_BYTES = 12

export function askPeer(fd: number, tell: (pid: number) => void): AskInside {
  return (program) => {
    const address = program.bundle.allocate(16)
    program.call('getsockopt', [fd, SOL_SOCKET, SO_PEERCRED, address, program.bundle.words(UCRED_BYTES)])
    return (results) => tell(new Int32Array(results.bytes(address, UCRED_BYTES).slice().buffer)[0] ?? 0)
  }
}
