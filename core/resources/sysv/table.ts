/**
 * System V objects as /proc/sysvipc lists them, in the IPC namespace of a tree (ipc_namespaces(7)). In a namespace of its own, all of
 * them are the tree's; in that of the dumper, those that it can be seen to use.
 */
import { closeSync, existsSync, readFileSync, readlinkSync } from 'node:fs'
import { native } from '../../../native/index.js'
import { UnsupportedError } from '../../errors.js'
import type { Program } from '../../program/program.js'
import type { Argument } from '../../program/bundle.js'
import type { Emitter, SeenProcess, SeenTree } from '../description.js'
import { AT_FDCWD, O_CLOEXEC, O_RDONLY, O_WRONLY } from '../open-flags.js'
import { asMaker } from '../unix/credentials.js'

/** Who owns an object, and may use it. */
export interface SysvPermissions {
  /** That it was made with: an object that is being removed has none any more. */
  key: number
  id: number
  mode: number
  uid: number
  gid: number
  creatorUid: number
  creatorGid: number
}

export type SysvKind = 'shm' | 'sem' | 'msg'

/** A line of a table, by the names of its columns. */
export type SysvLine = Readonly<Record<string, bigint>>

const MODE_BITS = 0o777

/** Whether the tree lives in an IPC namespace that the dumper does not live in. @throws UnsupportedError for one that lives in several */
export function hasOwnNamespace({ processes }: SeenTree): boolean {
  const [first, ...others] = processes
  if (first === undefined) return false
  const other = others.find(({ pid }) => namespaceOf(pid) !== namespaceOf(first.pid))
  if (other !== undefined)
    throw new UnsupportedError(
      'THAW_IPC_NAMESPACE',
      `Cannot checkpoint pid ${other.pid} (${other.name}): it lives in another IPC namespace than pid ${first.pid} (${first.name}), which is not carried.`,
      { pid: other.pid },
    )
  return namespaceOf(first.pid) !== namespaceOf('self')
}

const namespaceOf = (pid: number | 'self'): string => readlinkSync(`/proc/${pid}/ns/ipc`)

/** A system call in the IPC namespace of a process. */
export function callIn({ pid }: SeenProcess, name: string, args: readonly (number | bigint | Uint8Array)[]): bigint {
  // Entering takes a privilege.
  if (namespaceOf(pid) === namespaceOf('self')) return native.syscall(name, args)
  const namespace = native.open(`/proc/${pid}/ns/ipc`, O_RDONLY | O_CLOEXEC)
  try {
    return native.syscallInNamespace(namespace, name, args)
  } finally {
    closeSync(namespace)
  }
}

/** All objects of a kind in the namespace of a process. */
export function readTable(process: SeenProcess, kind: SysvKind): SysvLine[] {
  const path = Buffer.from(`/proc/sysvipc/${kind}\0`)
  // A kernel without CONFIG_SYSVIPC has no such objects.
  if (!existsSync('/proc/sysvipc')) return []
  // The file shows the namespace that it was opened in, whoever reads it.
  const fd = Number(callIn(process, 'openat', [AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0]))
  try {
    return parseTable(readFileSync(fd, 'utf8'))
  } finally {
    closeSync(fd)
  }
}

/** All objects of a kind in the namespace of this process. */
export function readOwnTable(kind: SysvKind): SysvLine[] {
  const path = `/proc/sysvipc/${kind}`
  return existsSync(path) ? parseTable(readFileSync(path, 'utf8')) : []
}

function parseTable(text: string): SysvLine[] {
  const [head = '', ...lines] = text.trimEnd().split('\n')
  const names = head.trim().split(/\s+/)
  return lines.map((line) => {
    const words = line.trim().split(/\s+/)
    return Object.fromEntries(names.map((name, i) => [name, BigInt(name === 'perms' ? `0o${words[i]}` : (words[i] ?? 0))]))
  })
}

export function permissionsOf(line: SysvLine, kind: SysvKind, idName = `${kind}id`): SysvPermissions {
  const [key, id, mode, uid, gid, creatorUid, creatorGid] = ['key', idName, 'perms', 'uid', 'gid', 'cuid', 'cgid'].map((name) =>
    Number(line[name] ?? 0),
  )
  return {
    key: key ?? 0,
    id: id ?? 0,
    mode: (mode ?? 0) & MODE_BITS,
    uid: uid ?? 0,
    gid: gid ?? 0,
    creatorUid: creatorUid ?? 0,
    creatorGid: creatorGid ?? 0,
  }
}

/** Has the next object of a kind get this id (since Linux 3.9, with CONFIG_CHECKPOINT_RESTORE). */
function emitNextId(program: Program, kind: SysvKind, id: number): void {
  const { bundle } = program
  const text = Buffer.from(`${id}`)
  const fd = program.call('openat', [AT_FDCWD, bundle.string(`/proc/sys/kernel/${kind}_next_id`), O_WRONLY | O_CLOEXEC, 0])
  program.call('write', [fd, bundle.bytes(text), text.length], { equal: text.length })
  program.call('close', [fd])
}

const IPC_CREAT_EXCL = 0o3000
const IPC_SET = 1
/** Of any of the structures that IPC_SET reads, and where all of them have what it sets (struct ipc64_perm). */
const STATUS_BYTES = 128
const [UID_AT, GID_AT, MODE_AT] = [4n, 8n, 20n]

/**
 * Makes an object as it was made, with its id, and gives it to its owner. In the first process, before it forks.
 *
 * @param make the call, for these flags
 * @param more something else that IPC_SET sets, of eight bytes
 */
export function emitObject(
  emitter: Emitter,
  kind: SysvKind,
  { id, mode, uid, gid, creatorUid, creatorGid }: SysvPermissions,
  creator: number,
  make: (flags: number) => readonly [string, readonly Argument[]],
  more?: { readonly at: number; readonly value: bigint },
): void {
  const { program, bundle } = emitter
  emitNextId(program, kind, id)
  const [name, args] = make(mode | IPC_CREAT_EXCL)
  asMaker(emitter, { pid: creator, uid: creatorUid, gid: creatorGid }, (maker) => maker.call(name, args, { equal: id }))
  emitter.made(kind, id)
  if (uid === creatorUid && gid === creatorGid && more === undefined) return
  const status = bundle.allocate(STATUS_BYTES)
  program.store(status + UID_AT, uid, 4)
  program.store(status + GID_AT, gid, 4)
  program.store(status + MODE_AT, mode, 4)
  if (more !== undefined) program.store(status + BigInt(more.at), more.value, 8)
  program.call(`${kind}ctl`, kind === 'sem' ? [id, 0, IPC_SET, status] : [id, IPC_SET, status])
}

/** Whose an object is in a namespace that others live in, nothing tells; that the tree uses it, its last user does. @throws UnsupportedError */
export function refuseForeign({ processes }: SeenTree, what: string, { id, key }: SysvPermissions, user: number): void {
  const found = processes.find(({ pid }) => pid === user)
  if (found === undefined) return
  throw new UnsupportedError(
    'THAW_SYSV_SHARED',
    `Cannot checkpoint pid ${found.pid} (${found.name}): it uses System V ${what} ${id} (key 0x${(key >>> 0).toString(16)}), which others may use, too. Start it in an IPC namespace of its own (unshare --ipc).`,
    { pid: found.pid },
  )
}
