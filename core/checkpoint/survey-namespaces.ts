/**
 * Namespaces: an instance gets a sandbox of ours, with the host's files and an empty network or the host's. A process that lives in
 * anything else, or whose threads do not all live in the same, is refused.
 */
import { closeSync, existsSync, readFileSync, readdirSync } from 'node:fs'
import { native } from '../../native/index.js'
import { rootHolder } from '../proc/root.js'
import { readStat } from '../proc/status.js'
import { O_CLOEXEC, O_RDONLY } from '../resources/open-flags.js'
import type { Support } from '../resources/support.js'
import { howToEnter, namespace, nsenter, refuseClosed } from './survey-entry.js'
import type { Refuse } from './survey-entry.js'
import { namespacesOf } from './survey-split.js'

export const support: Support = {
  topic: 'around the tree',
  refused: {
    THAW_MOUNT_NAMESPACE: 'mount namespaces of its own',
    THAW_NETWORK_NAMESPACE: 'network namespaces of its own with interfaces, or sockets in one that this user may not enter',
    THAW_USER_NAMESPACE: 'user namespaces of its own',
    THAW_CGROUP_NAMESPACE: 'cgroup namespaces of its own',
    THAW_UTS_NAMESPACE: 'UTS namespaces of its own with other names',
  },
}

const KCMP_FILES = 2
const KCMP_FS = 3
const STAT_FLAGS = 9 - 3
const PF_EXITING = 4

export function refuseNamespaces(pid: number, refuse: Refuse): void {
  if (namespace(pid, 'user') !== namespace(process.pid, 'user'))
    refuse('THAW_USER_NAMESPACE', `it lives in another user namespace. As the user that owns it, run ${nsenter(pid)}`)
  // A process with a root folder of its own is shown only the mounts below that.
  if (namespace(pid, 'mnt') !== namespace(process.pid, 'mnt') && !isSubset(mounts(rootHolder(pid) ?? pid), mounts(process.pid)))
    refuse('THAW_MOUNT_NAMESPACE', 'it lives in a mount namespace with mounts of its own (a container?), which are not carried.')
  if (namespace(pid, 'net') !== namespace(process.pid, 'net') && interfaces(pid).some((name) => name !== 'lo'))
    refuse(
      'THAW_NETWORK_NAMESPACE',
      `it lives in a network namespace with interfaces of its own (${interfaces(pid).join(', ')}), which are not carried.`,
    )
  if (namespacesOf(pid)?.get('cgroup') !== namespacesOf(process.pid)?.get('cgroup'))
    refuse('THAW_CGROUP_NAMESPACE', 'it lives in another cgroup namespace, which is not carried. Run thaw inside that.')
  refuseNames(pid, refuse)
  refuseClosed(pid, refuse)
}

/** A sandbox gets the names that the dumper sees. */
function refuseNames(pid: number, refuse: Refuse): void {
  if (namespace(pid, 'uts') === namespace(process.pid, 'uts')) return
  const [own, ours] = [namesOf(pid, refuse), namesOf(process.pid, refuse)]
  const differing = own.findIndex((name, i) => name !== ours[i])
  if (differing >= 0)
    refuse(
      'THAW_UTS_NAMESPACE',
      `it lives in a UTS namespace where the ${NAMES[differing]} is ${own[differing]}, not ${ours[differing]} as here, which is not carried. Start it without, or give the machine that name.`,
    )
}

const UTSNAME_BYTES = 6 * 65
const NAMES = ['host name', 'domain name']

/** Host name and domain name, the second and the last of struct new_utsname. */
function namesOf(pid: number, refuse: Refuse): string[] {
  const bytes = Buffer.alloc(UTSNAME_BYTES)
  const fd = native.open(`/proc/${pid}/ns/uts`, O_RDONLY | O_CLOEXEC)
  try {
    if (pid === process.pid) native.syscall('uname', [bytes])
    else native.syscallInNamespace(fd, 'uname', [bytes])
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EPERM') throw error
    refuse('THAW_UTS_NAMESPACE', `it lives in another UTS namespace, whose names this process may not read. ${howToEnter(pid)}`)
  } finally {
    closeSync(fd)
  }
  return [1, 5].map((field) => bytes.toString('latin1', field * 65, (field + 1) * 65).replace(/\0.*$/s, ''))
}

export function refuseUnsharedThreads(pid: number, refuse: Refuse): void {
  const all = namespacesOf(pid)
  for (const tid of readdirSync(`/proc/${pid}/task`)
    .map(Number)
    .filter((other) => other !== pid)) {
    try {
      if (isOther(pid, tid, KCMP_FILES)) refuse('THAW_THREAD_FILES', `its thread ${tid} has a descriptor table of its own.`)
      if (isOther(pid, tid, KCMP_FS)) refuse('THAW_THREAD_FS', `its thread ${tid} has a working directory and root of its own.`)
      const own = namespacesOf(pid, tid)
      if (own !== undefined && all !== undefined && [...all].join() !== [...own].join())
        refuse('THAW_THREAD_NAMESPACE', `its thread ${tid} lives in other namespaces.`)
    } catch (error) {
      // It has ended meanwhile, or belongs to the kernel.
      if (!['ESRCH', 'ENOENT', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
}

/** One that is about to end has let go of both already. */
const isOther = (pid: number, tid: number, kind: number): boolean =>
  native.kcmp(pid, tid, kind, 0, 0) !== 0 && (Number(readStat(pid, tid)[STAT_FLAGS]) & PF_EXITING) === 0

const isSubset = (some: readonly string[], all: readonly string[]): boolean => some.every((one) => all.includes(one))

/** By where they are mounted, with their types. */
const OWN_MOUNTS: Readonly<Record<string, string>> = { '/proc': 'proc', '/dev/pts': 'devpts', '/dev/shm': 'tmpfs' }

/** What is mounted where, without ids and order, which each namespace numbers anew, and without those that a sandbox may have of its own. */
function mounts(pid: number): string[] {
  return readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter((words) => words[4] !== undefined && OWN_MOUNTS[words[4]] !== words[words.indexOf('-') + 1])
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
