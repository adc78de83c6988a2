/** What belongs to a process as a whole. */

import type { PidMap, Subject } from './facts.ts'
import { asSeenInside } from './facts.ts'
import { parseFields, readLink, readText } from './procfs.ts'
import { auxiliaryVector } from './task.ts'

export function describeWhole(pid: number, pids: PidMap, process: Subject): void {
  const path = `/proc/${pid}`
  const status = parseFields(readText(`${path}/status`) ?? '')
  process.is('parent', asSeenInside(pids, Number(status.get('PPid'))))
  for (const link of ['exe', 'cwd', 'root']) process.is(link, readLink(`${path}/${link}`))
  for (const file of ['cmdline', 'environ', 'oom_score_adj', 'coredump_filter'])
    process.is(file, readText(`${path}/${file}`)?.replaceAll('\0', ' '))
  process.is('auxv', auxiliaryVector(pid))
  for (const [what, limit] of limits(readText(`${path}/limits`) ?? '')) process.is(what, limit)
  process.is('timers', timers(readText(`${path}/timers`) ?? '', pids))
}

export const hasEnded = (pid: number): boolean => /^State:\s+Z/m.test(readText(`/proc/${pid}/status`) ?? '')

/** What is left of a process that has ended and was not reaped. */
export function describeEnded(pid: number, pids: PidMap, process: Subject): void {
  const status = parseFields(readText(`/proc/${pid}/status`) ?? '')
  process.is('parent', asSeenInside(pids, Number(status.get('PPid'))))
  for (const id of ['NSpgid', 'NSsid']) process.is(id, status.get(id)?.split(/\s+/).at(-1))
  process.is('name', status.get('Name'))
  process.is('exit code', (readText(`/proc/${pid}/stat`) ?? '').trimEnd().split(' ').at(-1))
}

function limits(text: string): [string, string][] {
  const rows = text.split('\n').slice(1).filter(Boolean)
  return rows.map((row) => [`limit ${row.slice(4, 26).trim()}`, row.slice(26).trim().replace(/\s+/g, ' ')])
}

/** `notify: signal/pid.1234` names a process or a thread. */
function timers(text: string, pids: PidMap): string {
  return text.replace(/(pid|tid)\.(\d+)/g, (_, kind: string, pid: string) => `${kind}.${asSeenInside(pids, Number(pid))}`)
}

const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'pid_for_children', 'time', 'time_for_children', 'user', 'uts']

/** Which processes of the tree are in the same namespace; its number is a new one after a restore. */
export function describeNamespaces(tree: readonly number[], pids: PidMap, subject: Subject): void {
  for (const kind of NAMESPACES) {
    const groups = Map.groupBy(tree, (pid) => readLink(`/proc/${pid}/ns/${kind}`))
    subject.is(`namespace ${kind}`, [...groups.values()].map((group) => group.map((pid) => asSeenInside(pids, pid)).join(' ')).join('; '))
  }
}
