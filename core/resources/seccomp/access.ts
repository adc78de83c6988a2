/** Whether a thread is under filters that are to be carried, and what it takes to read them. */
import { readFileSync, readdirSync } from 'node:fs'
import { native } from '../../../native/index.js'
import { UnsupportedError } from '../../errors.js'
import { field, readStatus } from '../../proc/status.js'
import type { Status } from '../../proc/status.js'

const PTRACE_SETOPTIONS = 0x4200
const PTRACE_O_TRACESYSGOOD = 1
const PTRACE_O_SUSPEND_SECCOMP = 1 << 21
const CAP_SYS_ADMIN = 1n << 21n

export const modeOf = (status: Status): number => Number(status.get('Seccomp') ?? 0)
export const filtersOf = (status: Status): number => Number(status.get('Seccomp_filters') ?? 0)

/** Whether a thread is under more than what everything here is under, the copy too: a container's own filters. */
export function hasOwn(pid: number, status: Status): boolean {
  if (modeOf(status) === 0) return false
  const ours = readStatus(process.pid)
  const same = modeOf(status) === modeOf(ours) && filtersOf(status) === filtersOf(ours)
  return !same || !(filtersOf(readStatus(1)) === filtersOf(ours) || isDescendant(pid))
}

function isDescendant(pid: number): boolean {
  for (let relative = pid; relative > 0; relative = Number(field(readStatus(relative), 'PPid'))) if (relative === process.pid) return true
  return false
}

/** Before the freeze. Undefined where nothing stands in the way. */
export function whyNotSeccomp(pid: number): string | undefined {
  const tids = readdirSync(`/proc/${pid}/task`).map(Number)
  if (mayReadFilters() || !tids.some((tid) => hasOwn(pid, statusIfAlive(pid, tid)))) return undefined
  return 'it runs under a seccomp filter, which only root in the initial user namespace can read. Run thaw as root, outside of containers.'
}

/** A thread may have ended meanwhile. */
function statusIfAlive(pid: number, tid: number): Status {
  try {
    return readStatus(pid, tid)
  } catch {
    return new Map()
  }
}

/** Those who are under a filter themselves may not, either. */
function mayReadFilters(): boolean {
  const own = readStatus(process.pid)
  const initial = /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'utf8'))
  return initial && modeOf(own) === 0 && mayAdminister(own)
}

export const mayAdminister = (status: Status): boolean => (BigInt(`0x${field(status, 'CapEff')}`) & CAP_SYS_ADMIN) !== 0n

/** For a thread that was stopped, before it is made to perform calls; ends with the attachment. */
export function suspendSeccomp(pid: number, tid: number): void {
  const status = readStatus(pid, tid)
  if (!hasOwn(pid, status)) return
  try {
    native.syscall('ptrace', [PTRACE_SETOPTIONS, tid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP])
  } catch (cause) {
    throw refused(pid, tid, status, `which cannot be suspended (${(cause as NodeJS.ErrnoException).code}). Run thaw as root.`)
  }
}

/** @param which continues "it runs under a seccomp filter, …" */
export function refused(pid: number, tid: number, status: Status, which: string): UnsupportedError {
  const where = tid === pid ? 'it' : `its thread ${tid}`
  const message = `Cannot checkpoint pid ${pid} (${field(status, 'Name')}): ${where} runs under a seccomp filter, ${which}`
  return new UnsupportedError('THAW_SECCOMP', message, { pid })
}
