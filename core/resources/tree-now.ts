/**
 * A tree that runs, as it is by now: since its processes and what they have open were listed, it may have forked others, which are of the
 * tree, and its descriptors may have gone from hand to hand. What looks as if it were shared with the outside is looked up here first.
 */
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { readFdInfo } from '../proc/fdinfo.js'
import type { FdInfo } from '../proc/fdinfo.js'
import { field, readStatus } from '../proc/status.js'
import { childrenOf, treeBelow } from '../proc/tree.js'
import type { SeenTree } from './description.js'

/** The first process for which it holds, and that is of the tree neither as it was seen nor by now. The dumper is none. */
export function findOutside(tree: SeenTree, holds: (pid: number) => boolean): number | undefined {
  const inside = new Set([process.pid, ...tree.processes.map(({ pid }) => pid)])
  return readdirSync('/proc')
    .map(Number)
    .find((pid) => pid > 0 && !inside.has(pid) && holds(pid) && isOutside(pid, tree))
}

/** Of who is gone, nothing is anybody's any more. */
export const isOutside = (pid: number, tree: SeenTree): boolean => !isOfTree(pid, tree) && isThere(pid)

const isThere = (pid: number): boolean => existsSync(`/proc/${pid}`)

/** Whether a process is of the tree, or was forked by it since. Not for who is gone. */
export function isOfTree(pid: number, tree: SeenTree): boolean {
  const above = new Set([...tree.processes.map((process) => process.pid), ...(tree.init === undefined ? [] : [tree.init])])
  for (let at = pid; at > 0;) {
    if (above.has(at)) return true
    const parent = parentOf(at)
    if (parent === undefined && !isThere(pid)) return false
    // Where one between has ended, somebody has adopted its children.
    at = parent ?? pid
  }
  return false
}

function parentOf(pid: number): number | undefined {
  try {
    return Number(field(readStatus(pid), 'PPid'))
  } catch {
    return undefined
  }
}

interface Held {
  readonly pid: number
  readonly fd: number
}

const known = new WeakMap<SeenTree, Map<string, Held[]>>()

/** Whether the tree has, by now, a descriptor that leads to this pipe or socket. Of one that stands still, all are known. */
export function isHeldByNow(tree: SeenTree, link: string, isMeant: (info: FdInfo) => boolean = () => true): boolean {
  if (tree.frozen) return false
  const held = known.get(tree) ?? channelsOf(tree)
  known.set(tree, held)
  return (held.get(link) ?? []).some(({ pid, fd }) => isMeantBy(isMeant, pid, fd))
}

function isMeantBy(isMeant: (info: FdInfo) => boolean, pid: number, fd: number): boolean {
  try {
    return isMeant(readFdInfo(pid, fd))
  } catch {
    // It was open a moment ago: its other end is about to show that.
    return true
  }
}

/** Pipes and sockets that are open, by link. Once per look: where all of them lead outside, it is asked for each. */
function channelsOf(tree: SeenTree): Map<string, Held[]> {
  const roots =
    tree.init === undefined ? tree.processes.filter(({ parentPid }) => parentPid === 0).map(({ pid }) => pid) : childrenOf(tree.init)
  const channels = new Map<string, Held[]>()
  for (const pid of treeBelow(roots))
    for (const { fd, link } of openIn(pid))
      if (/^(pipe|socket):/.test(link)) channels.set(link, [...(channels.get(link) ?? []), { pid, fd }])
  return channels
}

function openIn(pid: number): { fd: number; link: string }[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((name) => ({ fd: Number(name), link: linkOf(pid, Number(name)) ?? '' }))
  } catch {
    return []
  }
}

/** What a descriptor leads to by now; undefined where it is closed. */
export function linkOf(pid: number, fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`)
  } catch {
    return undefined
  }
}
