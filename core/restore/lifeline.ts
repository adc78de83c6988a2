/**
 * Whoever comes up in the pid namespace of the engine has no init of ours above it that all of it would end with, and waits for others with all signals
 * blocked. So, until all are done, each ends with who forked it, and the first, and its siblings, with the engine (prctl(2), PR_SET_PDEATHSIG): whatever is
 * killed or fails before the instance runs, nothing is left waiting for it. A fork begins without one, and what clears it (a change of ids) is followed
 * by another. One that is to stop cannot let go of it later, and does so before.
 */
import type { ThreadModel } from '../image/model.js'
import type { Program } from '../program/program.js'
import type { Planning } from './planning.js'

const PR_SET_PDEATHSIG = 1
const SIGKILL = 9

export const hasLifelines = ({ options }: Planning): boolean => options.pidNamespace === 'current'

/** First of all in a process, before it waits for anybody, and after its credentials. @param parentPid 0 for who loses the helper as its parent, and is adopted */
export function emitLifeline(program: Program, planning: Planning, parentPid: number): void {
  if (!hasLifelines(planning)) return
  program.for('parent', () => {
    // The helper's end is not to be that of what it has forked.
    if (parentPid === 0) emitAdoption(program, planning)
    program.call('prctl', [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0])
    // Who had ended before sends nothing.
    program.call('getppid', [], { equal: parentPid === 0 ? process.pid : parentPid })
  })
}

/** The helper that forked the first process may not have ended yet; only then the parent is the sandbox's init, or the process that adopts it. */
export function emitAdoption(program: Program, { helperPid }: Planning): void {
  const look = program.here
  const adopted = program.jump(0, 'not-equal', program.call('getppid'), helperPid)
  program.call('sched_yield')
  program.jump(look)
  adopted.target = program.here
}

/** When nothing can fail any more. */
export class EndOfLifelines {
  readonly #planning: Planning
  /** How many of the others have let go of theirs, and whether all have. */
  readonly #free: bigint
  readonly #leave: bigint
  /** Those that are to stop are awaited by their parents. */
  readonly #waiting: number

  constructor(planning: Planning) {
    this.#planning = planning
    ;[this.#free, this.#leave] = [planning.shared.word(), planning.shared.word()]
    this.#waiting = planning.image.processes.filter(({ stopped }, i) => i > 0 && !stopped).length
  }

  /** What the process had itself takes its place. */
  emit(program: Program, { parentDeathSignal }: ThreadModel): void {
    if (hasLifelines(this.#planning)) program.call('prctl', [PR_SET_PDEATHSIG, parentDeathSignal, 0, 0, 0])
  }

  /** Whoever runs may end at once, which is to be no end of what it has forked. */
  emitAwait(program: Program, isFirst: boolean): void {
    if (!hasLifelines(this.#planning)) return
    if (isFirst) {
      program.waitFor(this.#free, this.#waiting)
      program.add(this.#leave, 1)
    } else {
      program.add(this.#free, 1, this.#waiting)
      program.waitFor(this.#leave, 1)
    }
  }
}
