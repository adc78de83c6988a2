/** From pids as a sandbox sees them to pids as this process sees them. */
import { readFileSync, readdirSync } from 'node:fs'
import { innermost, readStatus } from '../proc/status.js'

/** Null where the task has gone in the meantime. */
function ifAlive<T>(look: () => T): T | null {
  try {
    return look()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return null
    throw error
  }
}

function children(pid: number): number[] {
  const threads = ifAlive(() => readdirSync(`/proc/${pid}/task`)) ?? []
  return threads.flatMap((tid) => {
    const list = ifAlive(() => readFileSync(`/proc/${pid}/task/${tid}/children`, 'latin1')) ?? ''
    return list.split(' ').filter(Boolean).map(Number)
  })
}

/** Searches the tree below a sandbox's init, level by level; undefined when there is no such process, or it was reaped already. */
export function findInnerPid(initPid: number, innerPid: number): number | undefined {
  for (let level = children(initPid); level.length > 0; level = level.flatMap(children)) {
    const found = level.find((pid) => {
      const status = ifAlive(() => readStatus(pid))
      return status !== null && innermost(status, 'NSpid') === innerPid
    })
    if (found !== undefined) return found
  }
  return undefined
}
