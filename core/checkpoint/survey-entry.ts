/** Namespaces of a process that the dumper has to enter, and may not; and how it would be started in them. */
import { closeSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { native } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import { O_CLOEXEC, O_RDONLY } from '../resources/open-flags.js'
import type { Support } from '../resources/support.js'

export const support: Support = { topic: 'around the tree', refused: { THAW_PROC: 'a dumper whose /proc shows another pid namespace' } }

export type Refuse = (code: string, why: string) => never

export const namespace = (pid: number, kind: string): string => readlinkSync(`/proc/${pid}/ns/${kind}`)

/** Of what this user may not enter. An ordinary user who has executed a program in a user namespace can enter nothing more from there. */
export const howToEnter = (pid: number): string =>
  INITIAL_MAP.test(readFileSync('/proc/self/uid_map', 'utf8'))
    ? 'Run thaw as root.'
    : `From outside of its user namespace, run ${nsenter(pid, ['uts', 'ipc'])}`

/** @param known kinds to enter even where this process has done so */
export function nsenter(pid: number, known: readonly string[] = []): string {
  const kinds = ['uts', 'ipc', 'net'].filter((kind) => known.includes(kind) || namespace(pid, kind) !== namespace(process.pid, kind))
  return `nsenter --preserve-credentials --target ${pid} --user ${kinds.map((kind) => `--${kind} `).join('')}thaw …`
}

const INITIAL_MAP = /^\s*0\s+0\s+4294967295\s*$/

/** What is looked at from inside: System V objects, and sockets where there are any. */
export function refuseClosed(pid: number, refuse: Refuse): void {
  const closed = (kind: string): boolean => namespace(pid, kind) !== namespace(process.pid, kind) && !mayEnter(pid, kind)
  if (closed('ipc')) refuse('THAW_IPC_NAMESPACE', `it lives in another IPC namespace, which this process may not enter. ${howToEnter(pid)}`)
  if (hasSockets(pid) && closed('net'))
    refuse('THAW_NETWORK_NAMESPACE', `it lives in another network namespace, which this process may not enter. ${howToEnter(pid)}`)
}

function mayEnter(pid: number, kind: string): boolean {
  const fd = native.open(`/proc/${pid}/ns/${kind}`, O_RDONLY | O_CLOEXEC)
  try {
    native.syscallInNamespace(fd, 'getpid', [])
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
    return false
  } finally {
    closeSync(fd)
  }
}

const hasSockets = (pid: number): boolean =>
  readdirSync(`/proc/${pid}/fd`).some((fd) => linkIfThere(`/proc/${pid}/fd/${fd}`).startsWith('socket:'))

/** Entering a mount namespace alone brings a /proc along in which the dumper has no place. @throws UnsupportedError THAW_PROC */
export function refuseForeignProc(): void {
  if (linkIfThere('/proc/self') === String(process.pid)) return
  throw new UnsupportedError(
    'THAW_PROC',
    'Cannot checkpoint: /proc shows another pid namespace than the one that thaw runs in. Run it in a mount namespace of its own pid namespace (nsenter without --mount).',
  )
}

function linkIfThere(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
