/** Where the files that a process sees can be reached from here. */
import { readFileSync, readlinkSync } from 'node:fs'

/**
 * The prefix under which the paths that /proc prints for a process lead to its files: they start at the root of its mount namespace, not
 * at the one that chroot(2) gave it. Undefined when no process shows that root.
 */
export function reachableRoot(pid: number): string | undefined {
  if (mountNamespace(pid) === mountNamespace(process.pid)) return ''
  const holder = rootHolder(pid)
  return holder === undefined ? undefined : `/proc/${holder}/root`
}

/** The process itself or the nearest ancestor in its mount namespace that has the namespace's root for its own. */
export function rootHolder(pid: number): number | undefined {
  const namespace = mountNamespace(pid)
  for (let relative = pid; relative > 0; relative = parentOf(relative)) {
    if (mountNamespace(relative) !== namespace) return undefined
    if (readlinkSync(`/proc/${relative}/root`) === '/') return relative
  }
  return undefined
}

const mountNamespace = (pid: number): string => readlinkSync(`/proc/${pid}/ns/mnt`)

const parentOf = (pid: number): number => Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
