/** Whose credentials a peer sees (SO_PEERCRED): those of who made the connection, at the time. */
import type { Program } from '../../program/program.js'

const UNCHANGED = -1

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
