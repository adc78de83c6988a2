/**
 * Waiting within a process that somebody else has interrupted. A call that it is to go on with may be kept in its restart block, of which each task has one
 * (kernel/time/hrtimer.c, fs/select.c, kernel/futex/waitwake.c): nanosleep clears that as it begins, poll and futex set it when they are interrupted, and
 * what the kernel then restarts is not the process's own call, or none at all (EINTR). ppoll and pselect6 have no use for it.
 */
import type { Argument, Bundle, Cell } from './bundle.js'
import { format } from './format.js'
import type { Program } from './program.js'

const USING_RESTART_BLOCK: ReadonlySet<string> = new Set(['nanosleep', 'clock_nanosleep', 'poll', 'futex', 'restart_syscall'])

/** @throws Error when the bundle's programs make a call that takes away what the process was to go on with */
export function requireRestartable({ programs }: Bundle): void {
  const call = programs.flatMap(({ ops }) => ops).find(({ code, name }) => code === format.OP_SYSCALL && USING_RESTART_BLOCK.has(name))
  if (call !== undefined) throw new Error(`${call.name} would cost the process the call that it is to go on with`)
}

/** Sleeps this long, or shorter when it is interrupted. */
export function sleepFor(program: Program, ns: number): void {
  const left = program.bundle.words(0, 0)
  // Each time: the kernel writes what is left there.
  program.store(left + 8n, ns, 8)
  program.call('ppoll', [0, 0, left, 0, 0], 'any')
}

/** Looks at what is ready. @param asked address of one struct pollfd */
export function pollNow(program: Program, asked: Argument): Cell {
  return program.call('ppoll', [asked, 1, program.bundle.words(0, 0), 0, 0], 'any')
}
