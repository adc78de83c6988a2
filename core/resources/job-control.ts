/**
 * Processes that a signal has stopped (job control; signal(7), waitpid(2)). Each stops again as the last thing before it leaves the restorer, and
 * its parent, if that is in the tree, is told or not told of it as before. It leaves by and by, when it is continued; a checkpoint
 * before that is refused, as it would find the process in the restorer.
 */
import { readFileSync } from 'node:fs'
import { UnsupportedError } from '../errors.js'
import type { ProcessModel, SignalAction } from '../image/model.js'
import { readMappings } from '../proc/maps.js'
import { field, readProcessStat, readStatus } from '../proc/status.js'
import type { Program } from '../program/program.js'
import type { SeenProcess } from './description.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'task',
  carried: 'stopped processes (job control)',
  conditions: ["Until a process that was stopped is continued in the copy, a debugger finds it in thaw's code."],
  refused: { THAW_STOPPED: 'stopped processes whose parent has not been told, or that were restored so and not continued since' },
}

const SIGCHLD = 17
const SIGSTOP = 19
const SA_NOCLDSTOP = 1n
const MASK_BYTES = 8
const STAT_EXIT_CODE = 52 - 3
const P_PID = 1
const WSTOPPED = 2
const WNOWAIT = 0x0100_0000

export type JobControl = Pick<ProcessModel, 'stopped' | 'stopTold'>

/** @param signal that each of its threads stands still by; undefined when the process runs */
export function collectJobControl({ pid, name, parentPid }: SeenProcess, signal: number | undefined): JobControl {
  if (signal === undefined) return { stopped: false, stopTold: false }
  // What the parent can still wait for (fs/proc/array.c); 0 once it has.
  const untold = Number(readProcessStat(pid)[STAT_EXIT_CODE])
  if (untold !== 0 && untold !== SIGSTOP && parentPid !== 0)
    throw refused(
      pid,
      name,
      `it was stopped by signal ${untold}, which its parent has not been told yet. Continue it first (kill -CONT ${pid}).`,
    )
  return { stopped: true, stopTold: untold === 0 }
}

/** Of a process that is stopped and still stands where a restore has put it. @throws UnsupportedError THAW_STOPPED */
export function refuseUnmoved(pid: number): void {
  const at = BigInt(readFileSync(`/proc/${pid}/syscall`, 'latin1').trim().split(' ').at(-1) ?? 0)
  const isIn = ({ start, end, path }: ReturnType<typeof readMappings>[number]): boolean =>
    start <= at && at < end && path.startsWith('/memfd:thaw-restorer')
  if (readMappings(pid).some(isIn))
    throw refused(
      pid,
      field(readStatus(pid), 'Name'),
      `it was restored stopped, and has not been continued since. Continue it first (kill -CONT ${pid}).`,
    )
}

const refused = (pid: number, name: string, why: string): UnsupportedError =>
  new UnsupportedError('THAW_STOPPED', `Cannot checkpoint pid ${pid} (${name}): ${why}`, { pid })

/** In the parent, before its children go on: their stops are not to send it anything. */
export function emitQuietStops(program: Program, children: readonly ProcessModel[]): void {
  if (children.some(({ stopped }) => stopped))
    emitAction(program, { signal: SIGCHLD, handler: 0n, flags: SA_NOCLDSTOP, restorer: 0n, mask: 0n })
}

/** In the parent, before signals are pending for it. */
export function emitAwaitStops(program: Program, children: readonly ProcessModel[], actions: readonly SignalAction[]): void {
  const stopped = children.filter((child) => child.stopped)
  if (stopped.length === 0) return
  for (const { pid, stopTold } of stopped)
    program.for(`stop of ${pid}`, () => program.call('waitid', [P_PID, pid, 0, WSTOPPED | (stopTold ? 0 : WNOWAIT), 0]))
  const action = actions.find(({ signal }) => signal === SIGCHLD)
  emitAction(program, action ?? { signal: SIGCHLD, handler: 0n, flags: 0n, restorer: 0n, mask: 0n })
}

function emitAction(program: Program, { signal, handler, flags, restorer, mask }: SignalAction): void {
  program.for('SIGCHLD', () => program.call('rt_sigaction', [signal, program.bundle.words(handler, flags, restorer, mask), 0, MASK_BYTES]))
}

/** In the process itself. */
export function emitStop(program: Program, { pid, stopped }: ProcessModel): void {
  if (stopped) program.for('stop', () => program.call('kill', [pid, SIGSTOP]))
}
