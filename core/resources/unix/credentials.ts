/**
 * Credentials that sockets show: of a peer (SO_PEERCRED), those of who made the connection, at the time; of a message (SCM_CREDENTIALS),
 * those of its sender.
 */
import type { Message } from '../../../native/index.js'
import type { Program } from '../../program/program.js'
import type { SeenDescription, SeenTree } from '../description.js'
import { refusal } from '../refusal.js'
import { SO_PASSCRED, SOL_SOCKET } from '../socket/option-table.js'
import type { SocketOption } from '../socket/options.js'

export interface UnixCredentials {
  pid: number
  uid: number
  gid: number
}

const UNCHANGED = -1
/** What is shown for no user (/proc/sys/kernel/overflowuid). */
const NOBODY = 65534

/**
 * Of a message that a socket with SO_PASSCRED was read for. One that was sent when nobody asked for credentials has none, and shows none
 * later. The pid of another process cannot be sent by ours: it may be gone, or in another namespace.
 */
export function credentialsOf({ credentials }: Message, seen: SeenDescription, tree: SeenTree): UnixCredentials | null {
  const [pid = 0, uid = NOBODY, gid = NOBODY] = new Uint32Array(credentials.slice().buffer)
  if (pid === 0 && uid === NOBODY) return null
  const sender = tree.processes.find((process) => process.pid === pid)
  if (sender !== undefined) return { pid: sender.innerPid, uid, gid }
  throw refusal(
    seen,
    'THAW_UNIX_SENDER',
    `holds a message with the credentials of ${pid === 0 ? 'a process of another pid namespace' : `pid ${pid}`}, which is not in the tree`,
    'Let it receive the message before the checkpoint.',
  )
}

/** Set only when a socket has been filled: else every message would get credentials, the restorer's where it has none. */
export const asksForCredentials = ({ level, option }: SocketOption): boolean => level === SOL_SOCKET && option === SO_PASSCRED

/** Emits `build` with the effective ids of the socket's maker, where those are not the restorer's own. */
export function asUser(program: Program, { peerUid, peerGid }: { peerUid: number; peerGid: number }, build: () => void): void {
  const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0]
  const changesGroup = peerGid >= 0 && peerGid !== gid
  const changesUser = peerUid >= 0 && peerUid !== uid
  if (changesGroup) program.call('setresgid', [UNCHANGED, peerGid, UNCHANGED])
  if (changesUser) program.call('setresuid', [UNCHANGED, peerUid, UNCHANGED])
  build()
  if (changesUser) program.call('setresuid', [UNCHANGED, uid, UNCHANGED])
  if (changesGroup) program.call('setresgid', [UNCHANGED, gid, UNCHANGED])
}
