/** SO_PEERCRED as the process itself sees it: the pid of a peer that is gone is known in its own pid namespace only. */
import type { ParasiteResults } from '../../checkpoint/parasite.js'
import type { Program } from '../../program/program.js'
import { SOL_SOCKET } from '../socket/option-table.js'
import { SO_PEERCRED, UCRED_BYTES } from './credentials.js'

export interface PeerQuestion {
  /** As the dumper sees it. */
  readonly pid: number
  readonly fd: number
  tell(pid: number): void
}

/** Adds the questions to a parasite's program; the result passes the answers on. */
export function askPeers(program: Program, peers: readonly PeerQuestion[]): (results: ParasiteResults) => void {
  const answers = peers.map(({ fd, tell }) => {
    const address = program.bundle.allocate(16)
    program.call('getsockopt', [fd, SOL_SOCKET, SO_PEERCRED, address, program.bundle.words(UCRED_BYTES)])
    return { address, tell }
  })
  return (results) => {
    for (const { address, tell } of answers) tell(new Int32Array(results.bytes(address, UCRED_BYTES).slice().buffer)[0] ?? 0)
  }
}
