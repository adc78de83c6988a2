/**
 * Sessions and process groups of a tree (credentials(7)). Those that are led from outside of it, as a shell's job is, cannot be had again:
 * with leave, the first process of the tree becomes their leader.
 */
import { existsSync } from 'node:fs'
import { UnsupportedError } from '../errors.js'
import type { ZombieModel } from '../image/model.js'
import { field, innermost, readStatus } from '../proc/status.js'
import type { SeenProcess } from '../resources/description.js'
import { Refusals } from '../resources/refusal.js'
import type { Support } from '../resources/support.js'
import { familyOf } from '../restore/family.js'
import type { Relations } from '../restore/family.js'

export const support: Support = {
  topic: 'task',
  carried: 'sessions and process groups (with leaders that are gone)',
  refused: { THAW_SHELL_JOB: 'a session led from outside the tree (without `--shell-job`)' },
}

/** Sessions that somebody outside of the tree leads, as the tree knows them. @throws UnsupportedError that names all, unless `shellJob` accepts them */
export function outsideSessions(processes: readonly SeenProcess[], zombies: readonly ZombieModel[], shellJob: boolean): Set<number> {
  const own = new Set([...processes.map(({ innerPid }) => innerPid), ...zombies.map(({ pid }) => pid)])
  const outside = new Set<number>()
  const refusals = new Refusals()
  for (const process of processes) {
    const status = readStatus(process.pid)
    const session = innermost(status, 'NSsid')
    if (own.has(session) || outside.has(session) || (session !== 0 && !isThere(status))) continue
    outside.add(session)
    if (!shellJob) refusals.add(ledFromOutside(process, session))
  }
  refusals.throw()
  return outside
}

const ledFromOutside = ({ pid, name }: SeenProcess, session: number): UnsupportedError =>
  new UnsupportedError(
    'THAW_SHELL_JOB',
    `Cannot checkpoint pid ${pid} (${name}): its session is led by pid ${session === 0 ? 'of another namespace' : session}, outside the tree. Start it with setsid, or pass --shell-job to give it a session of its own.`,
    { pid },
  )

/** Whether the leader of a session lives: as the dumper sees it. */
const isThere = (status: ReadonlyMap<string, string>): boolean => existsSync(`/proc/${field(status, 'NSsid').split(/\s+/)[0]}`)

/** Has the first process lead what was led from outside. */
export function adoptSessions({ processes, zombies }: Relations, outside: ReadonlySet<number>): void {
  const root = processes[0]?.pid ?? 0
  const ours = new Set([...processes, ...zombies].map(({ pid }) => pid))
  for (const task of [...processes, ...zombies]) {
    if (!outside.has(task.sessionId)) continue
    task.sessionId = root
    if (!ours.has(task.groupId)) task.groupId = root
  }
}

/** Of a tree that runs on. @throws UnsupportedError THAW_SHELL_JOB, THAW_SESSION, THAW_GROUP */
export function rehearseSessions(processes: readonly SeenProcess[], zombies: readonly ZombieModel[], shellJob: boolean): void {
  const outside = outsideSessions(processes, zombies, shellJob)
  const pids = new Map(processes.map(({ pid, innerPid }) => [pid, innerPid]))
  const related = processes.map(({ pid, innerPid }) => {
    const status = readStatus(pid)
    const parentPid = pids.get(Number(field(status, 'PPid'))) ?? 0
    return { pid: innerPid, parentPid, groupId: innermost(status, 'NSpgid'), sessionId: innermost(status, 'NSsid') }
  })
  if (related.length === 0) return
  const relations = { processes: related, zombies: [...zombies] }
  adoptSessions(relations, outside)
  familyOf(relations)
}
