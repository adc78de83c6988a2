/** /proc/PID/status, /proc/PID/stat: what the kernel tells of a task in text (proc(5)). */
import { readFileSync } from 'node:fs'

export type Status = ReadonlyMap<string, string>

/** Fields of /proc/PID/task/TID/status by name. Throws ENOENT or ESRCH when the task is gone. */
export const readStatus = (pid: number, tid: number = pid): Status => readStatusAt(`/proc/${pid}/task/${tid}/status`)

/** The same wherever procfs is mounted. */
export function readStatusAt(path: string): Status {
  const fields = new Map<string, string>()
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim())
  }
  return fields
}

/** A field that every kernel this runs on has. */
export function field(status: Status, name: string): string {
  const value = status.get(name)
  if (value === undefined) throw new Error(`/proc/PID/status has no field ${name}`)
  return value
}

/** The id that the task has in its own, innermost pid namespace: the last number of NSpid, NStgid, NSpgid or NSsid. */
export function innermost(status: Status, name: 'NSpid' | 'NStgid' | 'NSpgid' | 'NSsid'): number {
  return Number(field(status, name).split(/\s+/).at(-1))
}

/** The words of /proc/PID/stat from field 3 (state) on, so `stat[n - 3]` is field n of proc(5). The command may hold any byte. */
export const readStat = (pid: number, tid: number = pid): string[] => wordsOf(`/proc/${pid}/task/${tid}/stat`)

/** The same of a process as a whole. */
export const readProcessStat = (pid: number): string[] => wordsOf(`/proc/${pid}/stat`)

function wordsOf(path: string): string[] {
  const text = readFileSync(path, 'latin1')
  return text
    .slice(text.lastIndexOf(')') + 2)
    .trimEnd()
    .split(' ')
}
