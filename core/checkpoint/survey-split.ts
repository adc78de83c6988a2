/** Processes of one tree that live in different namespaces: a copy lives in one sandbox as a whole. */
import { readlinkSync } from 'node:fs'
import { UnsupportedError } from '../errors.js'
import type { SeenProcess } from '../resources/description.js'
import type { Support } from '../resources/support.js'

export const support: Support = { topic: 'around the tree', refused: { THAW_SPLIT_TREE: 'processes of one tree in different namespaces' } }

/** IPC namespaces are told apart where System V objects are collected, users' with every single process. */
const kinds = { mnt: 'mount', net: 'network', pid: 'pid', uts: 'UTS', time: 'time', cgroup: 'cgroup' } as const
/** Where a process may live in another than its children would. */
const futures = ['pid', 'time'] as const

/** For each process and each kind. @throws nothing: who has ended lives nowhere */
export function* splitNamespaces(processes: readonly SeenProcess[]): Generator<UnsupportedError> {
  const [first] = processes
  if (first === undefined) return
  const namespaces = processes.map((process) => ({ process, own: namespacesOf(process.pid) }))
  const expected = namespaces[0]?.own
  for (const { process, own } of namespaces) {
    if (own === undefined) continue
    for (const [kind, what] of Object.entries(kinds))
      if (expected !== undefined && own.get(kind) !== expected.get(kind))
        yield split(process, `it lives in another ${what} namespace than pid ${first.pid} (${first.name})`)
    for (const kind of futures)
      if (own.get(kind) !== own.get(`${kind}_for_children`))
        yield split(process, `its children would live in another ${kind} namespace than itself`)
  }
}

/** Undefined for who has ended. A kind that the kernel does not know, and a pid namespace that nobody lives in yet, is none. */
export function namespacesOf(pid: number, tid: number = pid): ReadonlyMap<string, string> | undefined {
  const own = new Map<string, string>()
  for (const kind of [...Object.keys(kinds), ...futures.map((kind) => `${kind}_for_children`), 'ipc', 'user']) {
    const link = linkIfThere(`/proc/${pid}/task/${tid}/ns/${kind}`)
    if (link !== undefined) own.set(kind, link)
  }
  // Who ends leaves these before others.
  return linkIfThere(`/proc/${pid}/task/${tid}/ns/net`) === undefined ? undefined : own
}

function linkIfThere(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

const split = ({ pid, name }: SeenProcess, why: string): UnsupportedError =>
  new UnsupportedError(
    'THAW_SPLIT_TREE',
    `Cannot checkpoint pid ${pid} (${name}): ${why}, which is not carried. Checkpoint a tree that lives in one set of namespaces.`,
    { pid },
  )
