/** What a process and those that it has started hold, to see that nothing is left behind. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'

export interface Left {
  /** Commands of its descendants, alive or not. */
  readonly processes: readonly string[]
  /** How many namespaces of each kind they are in. */
  readonly namespaces: Readonly<Record<string, number>>
  /** What its descriptors lead to. */
  readonly descriptors: readonly string[]
  readonly mounts: readonly string[]
  /** In the folder for temporary files, the working folder and shared memory. */
  readonly files: readonly string[]
}

export function left(): Left {
  const pids = descendants(process.pid)
  return {
    processes: pids.map((pid) => `${read(`/proc/${pid}/comm`)} ${/^State:\s+\S/m.exec(read(`/proc/${pid}/status`))?.[0] ?? ''}`),
    namespaces: namespaces([process.pid, ...pids]),
    descriptors: list('/proc/self/fd')
      .map((fd) => link(`/proc/self/fd/${fd}`).replace(/\d+/g, 'N'))
      .filter((target) => target !== 'ENOENT')
      .sort(),
    mounts: read('/proc/self/mountinfo').split('\n'),
    // Other programs come and go there; what is made here has a name with thaw in it.
    files: [tmpdir(), process.cwd(), '/dev/shm'].flatMap(list).filter((name) => name.includes('thaw')),
  }
}

export interface Memory {
  /** Of the process itself, after its garbage is gone. */
  readonly ownBytes: number
  /** Of those that it has started. */
  readonly othersBytes: number
  /** Of the machine: other programs have a part in it. */
  readonly availableBytes: number
}

/** Run with `--expose-gc`. */
export function memory(): Memory {
  globalThis.gc?.()
  return {
    ownBytes: process.memoryUsage.rss(),
    othersBytes: descendants(process.pid).reduce((sum, pid) => sum + kilobytes(`/proc/${pid}/status`, 'VmRSS'), 0),
    availableBytes: kilobytes('/proc/meminfo', 'MemAvailable'),
  }
}

const kilobytes = (file: string, name: string): number =>
  Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(read(file))?.[1] ?? 0) * 1024

export function descendants(pid: number): number[] {
  const children = list(`/proc/${pid}/task`).flatMap((tid) =>
    read(`/proc/${pid}/task/${tid}/children`).split(' ').filter(Boolean).map(Number),
  )
  return children.flatMap((child) => [child, ...descendants(child)])
}

function namespaces(pids: readonly number[]): Record<string, number> {
  const kinds = list('/proc/self/ns')
  return Object.fromEntries(kinds.map((kind) => [kind, new Set(pids.map((pid) => link(`/proc/${pid}/ns/${kind}`))).size]))
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return '' // it has just ended
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? ''
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
