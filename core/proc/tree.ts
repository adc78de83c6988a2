/** Who descends from whom: /proc/PID/task/TID/children (proc(5)). */
import { readFileSync, readdirSync } from 'node:fs'
import { readStat } from './status.js'

/** Children of all threads of a process; none when it is gone. Only complete while it stands still. */
export function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((tid) => childrenOfThread(pid, tid))
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

function childrenOfThread(pid: number, tid: string): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${tid}/children`, 'utf8').trim()
    return text === '' ? [] : text.split(' ').map(Number)
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

/** The roots and everything below them, parents before their children. */
export function treeBelow(roots: readonly number[]): number[] {
  const tree: number[] = []
  for (let generation = [...roots]; generation.length > 0; generation = generation.flatMap(childrenOf)) tree.push(...generation)
  return tree
}

/** Whether a process is gone, or has ended and waits to be reaped. One whose first thread has ended while others go on is not over. */
export const isOver = (pid: number): boolean => hasEnded(pid) ?? true

/** Whether a process has ended and waits to be reaped: it has no children any more. */
export const isZombie = (pid: number): boolean => hasEnded(pid) ?? false

/** Undefined for one that is gone. */
function hasEnded(pid: number): boolean | undefined {
  try {
    return readStat(pid)[0] === 'Z' && readdirSync(`/proc/${pid}/task`).length <= 1
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

const isGone = (error: unknown): boolean => ['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')
