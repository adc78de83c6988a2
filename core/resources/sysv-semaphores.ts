/**
 * Sets of System V semaphores (semget(2)): values, key and id. What is undone when a process ends (SEM_UNDO) cannot be read; only that a process has
 * ever asked for it.
 */
import { closeSync } from 'node:fs'
import { initProgramPath, native } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import type { Emitter, SeenProcess, SeenTree } from './description.js'
import { callIn, emitObject, hasOwnNamespace, permissionsOf, readTable, refuseForeign } from './sysv/table.js'
import type { SysvPermissions } from './sysv/table.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'around the tree',
  carried: 'System V semaphores and message queues, in an IPC namespace of its own (a sandbox has one)',
  conditions: [
    "In an IPC namespace that others live in, System V semaphores and message queues count as the tree's when a process of it has used them last.",
  ],
  refused: {
    THAW_SYSV_UNDO: 'System V semaphores with SEM_UNDO, or used by programs with threads',
    THAW_SYSV_SHARED: 'System V objects that others may use, too',
  },
}

export interface SysvSemaphores {
  permissions: SysvPermissions
  values: number[]
}

const GETPID = 11
const GETALL = 13
const SETALL = 17
const KCMP_SYSVSEM = 6
const SAME = 0
const POLLIN = 1

/** @throws UnsupportedError for sets that the tree uses in a namespace that others live in, and for processes that may have something to undo */
export function collectSemaphores(tree: SeenTree): SysvSemaphores[] {
  const [first] = tree.processes
  if (first === undefined) return []
  const rows = readTable(first, 'sem')
  if (rows.length === 0) return []
  const isOwn = hasOwnNamespace(tree)
  if (isOwn) refuseUndo(tree)
  return rows.flatMap((row) => {
    const permissions = permissionsOf(row, 'sem')
    const count = Number(row['nsems'])
    if (isOwn) return [{ permissions, values: valuesOf(first, permissions.id, count) }]
    for (let i = 0; i < count; i++) refuseForeign(tree, 'semaphores', permissions, pidOf(first, permissions.id, i))
    return []
  })
}

function valuesOf(process: SeenProcess, id: number, count: number): number[] {
  const values = new Uint16Array(count)
  callIn(process, 'semctl', [id, 0, GETALL, new Uint8Array(values.buffer)])
  return [...values]
}

/** Of who has used a semaphore last; 0 when that may not be asked. */
function pidOf(process: SeenProcess, id: number, index: number): number {
  try {
    return Number(callIn(process, 'semctl', [id, index, GETPID, 0]))
  } catch {
    return 0
  }
}

/** The kernel keeps a list for who has asked for it, and for every process with threads, who share it. */
function refuseUndo({ processes }: SeenTree): void {
  // One that ends at once, and has none.
  const without = native.spawnProcess(initProgramPath(), [], [])
  try {
    native.poll(without.pidfd, POLLIN, -1)
    const undoing = processes.find(({ pid }) => native.kcmp(pid, without.pid, KCMP_SYSVSEM, 0, 0) !== SAME)
    if (undoing !== undefined) throw undo(undoing)
  } finally {
    native.reap(without.pid)
    closeSync(without.pidfd)
  }
}

const undo = ({ pid, name }: SeenProcess): UnsupportedError =>
  new UnsupportedError(
    'THAW_SYSV_UNDO',
    `Cannot checkpoint pid ${pid} (${name}): it has used System V semaphores with SEM_UNDO, or has threads and may have: what is to be undone when it ends cannot be read. Remove the semaphores in the warm-up, or use them without.`,
    { pid },
  )

/** In the first process, before it forks. */
export function emitSemaphores(emitter: Emitter, { permissions, values }: SysvSemaphores, root: number): void {
  const { program, bundle } = emitter
  emitObject(emitter, 'sem', permissions, root, (flags) => ['semget', [permissions.key, values.length, flags]])
  program.call('semctl', [permissions.id, 0, SETALL, bundle.bytes(new Uint8Array(Uint16Array.from(values).buffer))])
}
