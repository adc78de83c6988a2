/**
 * Namespaces: an instance gets a sandbox of ours, with the host's files and an empty network or the host's. A process that lives in
 * anything else, or whose threads do not all live in the same, is refused.
 */
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { native } from '../../native/index.js'
import { rootHolder } from '../proc/root.js'
import type { Support } from '../resources/support.js'

export const support: Support = {
  topic: 'around the tree',
  refused: {
    THAW_MOUNT_NAMESPACE: 'mount namespaces of its own',
    THAW_NETWORK_NAMESPACE: 'network namespaces of its own with interfaces',
    THAW_USER_NAMESPACE: 'user namespaces of its own',
  },
}

type Refuse = (code: string, why: string) => never

const KCMP_FILES = 2
const KCMP_FS = 3

export function refuseNamespaces(pid: number, refuse: Refuse): void {
  if (namespace(pid, 'user') !== namespace(process.pid, 'user'))
    refuse('THAW_USER_NAMESPACE', 'it lives in another user namespace. Run thaw inside that.')
  // A process with a root folder of its own is shown only the mounts below that.
  if (namespace(pid, 'mnt') !== namespace(process.pid, 'mnt') && !isSubset(mounts(rootHolder(pid) ?? pid), mounts(process.pid)))
    refuse('THAW_MOUNT_NAMESPACE', 'it lives in a mount namespace with mounts of its own (a container?), which are not carried.')
  if (namespace(pid, 'net') !== namespace(process.pid, 'net') && interfaces(pid).some((name) => name !== 'lo'))
    refuse(
      'THAW_NETWORK_NAMESPACE',
      `it lives in a network namespace with interfaces of its own (${interfaces(pid).join(', ')}), which are not carried.`,
    )
}

export function refuseUnsharedThreads(pid: number, refuse: Refuse): void {
  const all = namespaces(pid, pid)
  for (const tid of readdirSync(`/proc/${pid}/task`)
    .map(Number)
    .filter((other) => other !== pid)) {
    try {
      if (native.kcmp(pid, tid, KCMP_FILES, 0, 0) !== 0) refuse('THAW_THREAD_FILES', `its thread ${tid} has a descriptor table of its own.`)
      if (native.kcmp(pid, tid, KCMP_FS, 0, 0) !== 0)
        refuse('THAW_THREAD_FS', `its thread ${tid} has a working directory and root of its own.`)
      if (namespaces(pid, tid) !== all) refuse('THAW_THREAD_NAMESPACE', `its thread ${tid} lives in other namespaces.`)
    } catch (error) {
      // It has ended meanwhile, or belongs to the kernel.
      if (!['ESRCH', 'ENOENT', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
}

const namespace = (pid: number, kind: string): string => readlinkSync(`/proc/${pid}/ns/${kind}`)

function namespaces(pid: number, tid: number): string {
  return ['mnt', 'net', 'ipc', 'uts', 'user', 'cgroup', 'time'].map((kind) => readlinkSync(`/proc/${pid}/task/${tid}/ns/${kind}`)).join(' ')
}

const isSubset = (some: readonly string[], all: readonly string[]): boolean => some.every((one) => all.includes(one))

/** What is mounted where, without ids and order, which each namespace numbers anew, and without those that a sandbox may have of its own. */
function mounts(pid: number): string[] {
  return readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , , , point]) => point !== undefined && point !== '/proc' && point !== '/dev/pts')
    .map(([, , device, root, point]) => `${device} ${root} ${point}`)
}

/** Interfaces that something can go through: a new namespace may be born with idle ones (tunnels), besides lo. */
function interfaces(pid: number): string[] {
  const routes = readFileSync(`/proc/${pid}/net/route`, 'utf8').split('\n').slice(1)
  const addresses = readIfThere(`/proc/${pid}/net/if_inet6`).split('\n')
  const names = [...routes.map((line) => line.split('\t')[0]), ...addresses.map((line) => line.split(/\s+/)[5])]
  return [...new Set(names.flatMap((name) => (name === undefined || name === '' ? [] : [name])))]
}

/** Without IPv6, its file is missing. */
function readIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}
