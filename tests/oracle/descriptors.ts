/** The open descriptors of a process. */

import { readdirSync } from 'node:fs'
import type { PidMap, Subject } from './facts.ts'
import { asSeenInside } from './facts.ts'
import { readLink, readText } from './procfs.ts'

/** Files that have no name but a number, which is a new one after a restore. */
const NUMBERED = /^(pipe|socket|anon_inode|pidfd|net|mnt|pid|user|uts|ipc|time|cgroup):/

export interface Descriptor {
  readonly pid: number
  readonly fd: number
  readonly target: string
}

export function descriptorsOf(pid: number): Descriptor[] {
  return readdirSync(`/proc/${pid}/fd`)
    .map(Number)
    .toSorted((a, b) => a - b)
    .map((fd) => ({ pid, fd, target: readLink(`/proc/${pid}/fd/${fd}`) }))
}

/** @param all the descriptors of the whole tree, to tell which of them are of the same pipe or socket */
export function describeDescriptors(pid: number, all: readonly Descriptor[], pids: PidMap, process: Subject): void {
  for (const { fd, target } of all.filter((one) => one.pid === pid)) {
    const subject = process.part(`descriptor ${fd}`)
    subject.is('target', describeTarget(target, all, pids))
    for (const [name, value] of fdInfo(readText(`/proc/${pid}/fdinfo/${fd}`) ?? '', NUMBERED.test(target), pids)) subject.is(name, value)
  }
}

function describeTarget(target: string, all: readonly Descriptor[], pids: PidMap): string {
  // Every anonymous inode has the same number: it tells nothing of sharing.
  if (!NUMBERED.test(target) || target.startsWith('anon_inode')) return target
  const same = all.filter((one) => one.target === target).map((one) => `${asSeenInside(pids, one.pid)}/${one.fd}`)
  return `${target.replace(/:.*/, '')} open as ${same.join(' ')}`
}

/** What changes with time, or names a thing by a number that is a new one after a restore. */
const PASSING = new Set([
  'mnt_id',
  'eventfd-id',
  'it_value',
  'SqHead',
  'SqTail',
  'CachedSqHead',
  'CqHead',
  'CqTail',
  'CachedCqTail',
  'SQEs',
  'CQEs',
  'SqThread',
])
const PASSING_RING = /^(Sq|Cq|Cached|SQEs|CQEs|PollList|CqOverflowList|NAPI|\s)/

function fdInfo(text: string, numbered: boolean, pids: PidMap): Map<string, string> {
  const facts = new Map<string, string>()
  const many = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    const space = line.indexOf(' ')
    // `inotify wd:1 …` and `fanotify …` have no colon behind their name.
    const end = space > 0 && (colon < 0 || space < colon) ? space : colon
    if (end <= 0) continue
    const name = line.slice(0, end)
    const value = line.slice(end + 1).trim()
    if (PASSING.has(name) || (PASSING_RING.test(line) && name !== 'SqMask' && name !== 'CqMask')) continue
    if (name === 'ino' && numbered) continue
    if (name === 'tfd' || name === 'lock' || name === 'inotify') many.set(name, [...(many.get(name) ?? []), ordered(name, value, pids)])
    else facts.set(name, name === 'Pid' || name === 'NSpid' ? pidOf(value, pids) : value)
  }
  for (const [name, lines] of many) facts.set(name, lines.toSorted().join('; '))
  return facts
}

/** Of a pidfd, in all namespaces from the caller's on; -1 of one that was reaped. Its inode is its process's, which is a new one after a restore. */
function pidOf(value: string, pids: PidMap): string {
  const pid = Number(value.split(/\s+/)[0])
  return pid > 0 ? asSeenInside(pids, pid) : value
}

/** Epoll entries and locks stand in an order of the kernel's own, and name their owners and files by number. */
function ordered(name: string, value: string, pids: PidMap): string {
  if (name === 'lock') {
    // `1: POSIX  ADVISORY  WRITE 1234 08:01:5678 0 EOF`
    const words = value.replace(/^\d+:\s*/, '').split(/\s+/)
    const owner = Number(words[3])
    return words.map((word, i) => (i === 3 && owner > 0 ? asSeenInside(pids, owner) : word)).join(' ')
  }
  return value
    .replace(/\s*(ino|sdev):\s*[0-9a-f]+/g, '')
    .replace(/\s*fhandle.*/, '')
    .replace(/\s+/g, ' ')
}
