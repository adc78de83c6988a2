/**
 * The root of an instance in the pid namespace of this process: no init of ours stands above it, so this process adopts it from the helper
 * that forked it (PR_SET_CHILD_SUBREAPER, prctl(2)) and hears of its end itself.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread } from 'node:worker_threads'
import { native } from '../../native/index.js'
import type { SystemError } from '../../native/index.js'
import { RestoreError, UnsupportedError } from '../errors.js'
import type { ImageModel } from '../image/model.js'
import { readStat } from '../proc/status.js'
import { childrenOf } from '../proc/tree.js'
import type { ExitStatus } from '../sandbox/exit-status.js'

const PR_SET_CHILD_SUBREAPER = 36
const PR_GET_CHILD_SUBREAPER = 37
const SIGKILL = 9
const LONGEST_PAUSE_MS = 20

/**
 * While one is there, this process adopts what loses its parent below it: as long as an instance comes up, and while what is left of one is killed. The
 * orphans of one that runs are for init, as those of anybody.
 */
export class Adoption implements Disposable {
  static #count = 0
  static #before = 0
  #isOver = false

  constructor() {
    if (Adoption.#count++ > 0) return
    Adoption.#before = isAdopter()
    setAdopter(1)
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return
    this.#isOver = true
    // It is of the whole process, and other threads of it may need it still.
    if (--Adoption.#count === 0 && isMainThread) setAdopter(Adoption.#before)
  }
}

const setAdopter = (value: number): unknown => native.syscall('prctl', [PR_SET_CHILD_SUBREAPER, value, 0, 0, 0])

function isAdopter(): number {
  const value = new Uint8Array(4)
  native.syscall('prctl', [PR_GET_CHILD_SUBREAPER, value, 0, 0, 0])
  return value[0] ?? 0
}

/** @throws RestoreError THAW_PID_TAKEN, naming the pid and who has it */
export function requireFreePids(image: ImageModel): void {
  const tids = image.processes.flatMap(({ threads }) => threads.map(({ tid }) => tid))
  // Groups and sessions whose leader is gone are founded by a process with their id.
  const ids = [...image.processes, ...image.zombies].flatMap(({ pid, groupId, sessionId }) => [pid, groupId, sessionId])
  for (const tid of new Set([...tids, ...ids])) {
    const command = commandOf(tid)
    if (command !== undefined) throw pidTaken(tid, command)
  }
}

const pidTaken = (pid: number, command: string): RestoreError =>
  new RestoreError(
    'THAW_PID_TAKEN',
    `Cannot restore: pid ${pid} is taken, by ${command}. End that process, or restore into a pid namespace of its own (--pid-namespace new).`,
    { pid },
  )

/** Threads beside leaders are not listed in /proc, but can be looked up like them. One that has ended keeps its pid until it is reaped. */
function commandOf(tid: number): string | undefined {
  try {
    const status = readFileSync(`/proc/${tid}/status`, 'utf8')
    const name = /^Name:\s+(.*)$/m.exec(status)?.[1] ?? ''
    return /^State:\s+Z/m.test(status) ? `${name}, which has ended and waits for its parent to notice` : name
  } catch {
    return undefined
  }
}

const CAP_SYS_ADMIN = 21n
const CAP_CHECKPOINT_RESTORE = 40n

/** @throws UnsupportedError THAW_PIDS_REFUSED: an ordinary user chooses pids only in a namespace of their own */
export function requireChoiceOfPids(): void {
  const effective = BigInt(`0x${/^CapEff:\s*(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`)
  if (((effective >> CAP_SYS_ADMIN) | (effective >> CAP_CHECKPOINT_RESTORE)) & 1n) return
  throw new UnsupportedError(
    'THAW_PIDS_REFUSED',
    'Cannot restore into the current pid namespace: choosing pids there needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE. Run as root, or restore into a pid namespace of its own (--pid-namespace new).',
  )
}

/** Resolves when the child has ended. @param ref whether this process stays for it */
export async function endOfChild(pid: number, { ref = true }: { readonly ref?: boolean } = {}): Promise<ExitStatus> {
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    const status = native.reap(pid)
    if (status?.kind === 'exited') return { code: status.code, signal: null }
    if (status?.kind === 'killed') return { code: null, signal: status.signal }
    await sleep(pauseMs, undefined, { ref })
  }
}

/**
 * Whoever of an instance, beside its root, has become a child of this process while that adopted: nobody else hears of their ends. They are told by
 * their session; other children are not ours to reap.
 */
export function reapAdopted({ processes, zombies }: ImageModel, rootPid: number): void {
  const sessions = new Set([...processes, ...zombies].map(({ sessionId }) => sessionId))
  for (const pid of childrenOf(process.pid))
    if (pid !== rootPid && sessions.has(sessionOf(pid))) endOfChild(pid, { ref: false }).catch(() => 'somebody else has heard of it')
}

const STAT_SESSION = 6 - 3

function sessionOf(pid: number): number {
  try {
    return Number(readStat(pid)[STAT_SESSION])
  } catch {
    return 0
  }
}

/** Kills the process if it is a child of this one: waitpid(2) tells, so that no stranger with that pid is harmed. */
export async function killChild(pid: number): Promise<void> {
  try {
    while (native.reap(pid) === null) {
      native.kill(pid, SIGKILL)
      await sleep(1)
    }
  } catch (error) {
    if ((error as SystemError).code !== 'ECHILD') throw error
  }
}
