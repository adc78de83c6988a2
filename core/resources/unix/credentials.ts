/**
 * Credentials that sockets show: of a peer (SO_PEERCRED), those of who made the connection, at the time; of a message (SCM_CREDENTIALS),
 * those of its sender.
 */
import { readlinkSync } from 'node:fs'
import { native } from '../../../native/index.js'
import type { Message } from '../../../native/index.js'
import type { UnsupportedError } from '../../errors.js'
import { readStatus } from '../../proc/status.js'
import type { Program } from '../../program/program.js'
import { readCredentials } from '../credentials.js'
import { homeOf } from '../description.js'
import type { Emitter, SeenDescription, SeenTree } from '../description.js'
import { refusal } from '../refusal.js'
import { SO_PASSCRED, SOL_SOCKET } from '../socket/option-table.js'
import type { SocketOption } from '../socket/options.js'
import { askPeer, askPeerInFlight, SO_PEERCRED, UCRED_BYTES } from './peer-question.js'

export interface UnixCredentials {
  pid: number
  uid: number
  gid: number
}

/** Who made a socket: its peer shows that. */
export interface UnixMaker extends UnixCredentials {
  /** SO_PEERGROUPS. */
  groups: number[]
}

const UNCHANGED = -1
const SO_PEERGROUPS = 59
/** NGROUPS_MAX. */
const MOST_GROUPS = 65_536
/** The ids of a socket that has no peer. */
const NONE = 0xffff_ffff
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
    'THAW_UNIX_CREDENTIALS',
    `holds a message with the credentials of ${pid === 0 ? 'a process of another pid namespace' : `pid ${pid}`}, which is not in the tree`,
    'Let it receive the message before the checkpoint.',
  )
}

/** Set only when a socket has been filled: else every message would get credentials, the restorer's where it has none. */
export const asksForCredentials = ({ level, option }: SocketOption): boolean => level === SOL_SOCKET && option === SO_PASSCRED

/**
 * Emits what a user of these credentials does, so that sockets show them: by a process with this pid, with these effective ids where they are not
 * the restorer's own.
 */
export function asMaker(
  emitter: Emitter,
  maker: (Omit<UnixMaker, 'groups'> & { groups?: readonly number[] }) | null,
  build: (program: Program) => void,
): void {
  if (maker === null) return build(emitter.program)
  const { pid, uid, gid } = maker
  emitter.asProcess(pid, (program) => {
    const [ownUid, ownGid, ownGroups] = [
      process.geteuid?.() ?? 0,
      process.getegid?.() ?? 0,
      readCredentials(readStatus(process.pid)).groups,
    ]
    const groups = maker.groups ?? ownGroups
    const otherGroups = sorted(groups) !== sorted(ownGroups)
    // With the restorer's own user, who may.
    if (otherGroups) emitGroups(program, groups)
    if (gid !== ownGid) program.call('setresgid', [UNCHANGED, gid, UNCHANGED])
    if (uid !== ownUid) program.call('setresuid', [UNCHANGED, uid, UNCHANGED])
    // Sockets show the effective ids; files are asked by these. Back at the restorer's own user they bring its capabilities for files along.
    if (gid !== ownGid) program.call('setfsgid', [ownGid])
    if (uid !== ownUid) program.call('setfsuid', [ownUid])
    build(program)
    if (uid !== ownUid) program.call('setresuid', [UNCHANGED, ownUid, UNCHANGED])
    if (gid !== ownGid) program.call('setresgid', [UNCHANGED, ownGid, UNCHANGED])
    if (otherGroups) emitGroups(program, ownGroups)
  })
}

const sorted = (groups: readonly number[]): string => groups.toSorted((a, b) => a - b).join(' ')

function emitGroups(program: Program, groups: readonly number[]): void {
  program.call('setgroups', [groups.length, program.bundle.bytes(new Uint8Array(Uint32Array.from(groups).buffer))])
}

/** SO_PEERCRED; null where there is none. The process may be gone. */
export function peerCredentials(seen: SeenDescription, tree: SeenTree): UnixMaker | null {
  const [pid = 0, uid = NONE, gid = NONE] = new Uint32Array(
    native.getsockopt(seen.duplicate(), SOL_SOCKET, SO_PEERCRED, UCRED_BYTES).slice().buffer,
  )
  if (pid === 0 && uid === NONE) return null
  const groups = peerGroups(seen)
  const own = tree.processes.find((process) => process.pid === pid)
  if (own !== undefined) return { pid: own.innerPid, uid, gid, groups }
  if (pid > 1 && inOurNamespace(homeOf(seen).pid)) return { pid, uid, gid, groups }
  const { flight } = seen
  const canAsk = flight === undefined || (flight.onlySockets && flight.queue.flight === undefined)
  if (pid === 0 || !canAsk || inOurNamespace(homeOf(seen).pid)) throw foreignPeer(seen, pid)
  // What pid it has, or had, in the other namespace is seen from there only.
  const credentials = { pid: 0, uid, gid, groups }
  const tell = (inner: number): void => {
    if (inner <= 1) throw foreignPeer(seen, pid)
    credentials.pid = inner
  }
  tree.askInside(homeOf(seen), flight === undefined ? askPeer(seen.fd, tell) : askPeerInFlight(flight, tell))
  return credentials
}

const peerGroups = (seen: SeenDescription): number[] => [
  ...new Uint32Array(native.getsockopt(seen.duplicate(), SOL_SOCKET, SO_PEERGROUPS, MOST_GROUPS * 4).slice().buffer),
]

const inOurNamespace = (pid: number): boolean => readlinkSync(`/proc/${pid}/ns/pid`) === readlinkSync('/proc/self/ns/pid')

/** 0 is of another namespace, 1 is nobody else's than the init's. */
const foreignPeer = (seen: SeenDescription, pid: number): UnsupportedError =>
  refusal(
    seen,
    'THAW_UNIX_CREDENTIALS',
    `is a unix socket whose peer has the credentials of ${pid === 0 ? 'a process of another pid namespace' : `pid ${pid}`} (SO_PEERCRED), outside the tree`,
    'Make the socket in the fixture itself, or close it in the warm-up.',
  )
