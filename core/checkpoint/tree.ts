/** Which processes a checkpoint takes, and what they are to each other. */
import { closeSync, existsSync } from 'node:fs'
import { native } from '../../native/index.js'
import { CheckpointError } from '../errors.js'
import type { ZombieModel } from '../image/model.js'
import { field, readStat, readStatus } from '../proc/status.js'
import { childrenOf, isOver, isZombie, treeBelow } from '../proc/tree.js'
import type { SeenProcess } from '../resources/description.js'
import { Refusals } from '../resources/refusal.js'
import { isEnd } from './ends.js'
import { giveUp } from './given-up.js'
import { pause } from './pause.js'
import { SeizedProcess } from './seize.js'
import { RunQueueClocks } from './sleep.js'
import { sharedTasks } from './survey-sharing.js'
import { splitNamespaces } from './survey-split.js'
import { surveyProcess } from './survey.js'
import type { Support } from '../resources/support.js'
import { refuseUserDispatch } from './user-dispatch.js'
import { zombieOf } from './zombies.js'

export const support: Support = {
  topic: 'task',
  carried: 'whole trees: pids and tids, parents, children whose parent has ended, zombies with their status',
  conditions: [
    'All children of a process are children of its first thread: a parent-death signal comes when that one ends, whichever thread had forked. Processor time and resource usage count from zero.',
  ],
  refused: {
    THAW_ZOMBIE_CORE: 'zombies that have dumped core',
    THAW_PROCESSES_FLEE: 'trees that start processes faster than they can be stopped',
  },
}

/** A process with everything below it, or everything below the init of a sandbox, which itself stays. */
export type TreeRoot = number | { readonly belowInit: number }

/** A tree that forks faster than this many passes can catch is given up, unharmed. */
const MOST_PASSES = 64
const END_PAUSE_MS = 1
const TO_END_NS = 5_000_000_000n
const CLOCK_MONOTONIC = 1

/** Who waits in vfork waits for moments, or for good. */
const MOST_VFORK_LOOKS = 50
const VFORK_PAUSE_MS = 2

/** The first is to be one that leads its session, or whose leader is gone, if there is any: it comes before all others. */
const rootsOf = (root: TreeRoot): number[] =>
  typeof root === 'number' ? [root] : childrenOf(root.belowInit).toSorted((a, b) => rankInSession(a) - rankInSession(b))

const STAT_SESSION = 6 - 3

function rankInSession(pid: number): number {
  try {
    const session = Number(readStat(pid)[STAT_SESSION])
    return session === pid ? 0 : existsSync(`/proc/${session}`) ? 2 : 1
  } catch (error) {
    if (isEnd(error)) return 2
    throw error
  }
}

/** The processes of a tree as they were found. `dispose` closes their pidfds. */
export class Tree implements Disposable {
  readonly #root: TreeRoot
  readonly #processes = new Map<number, SeenProcess>()
  /** Whose namespaces were compared: it takes too long to be done again in the freeze. */
  readonly #compared = new Set<number>()

  constructor(root: TreeRoot) {
    this.#root = root
  }

  /** The init of the sandbox, where the tree is all that is below it. */
  get init(): number | undefined {
    return typeof this.#root === 'number' ? undefined : this.#root.belowInit
  }

  /** Parents before their children. */
  get processes(): SeenProcess[] {
    return [...this.#processes.values()]
  }

  /** Whether there is no tree without it: what was started in a sandbox may end at any time. */
  #must(pid: number): boolean {
    return pid === this.#root
  }

  /** Looks at every process that is there by now, without stopping any. @throws UnsupportedError that names all that cannot be carried */
  survey(): void {
    const roots = rootsOf(this.#root)
    for (let looks = 1; ; looks++) {
      const refusals = new Refusals()
      for (const pid of treeBelow(roots)) refusals.gather(() => this.#see(pid, roots.includes(pid)))
      const shared = [...sharedTasks(this.processes)]
      if (shared.length > 0 && looks < MOST_VFORK_LOOKS) {
        pause(VFORK_PAUSE_MS)
        this.forgetEnded()
        continue
      }
      for (const refusal of [...shared, ...splitNamespaces(this.processes)]) refusals.add(refusal)
      for (const { pid } of this.processes) this.#compared.add(pid)
      refusals.throw()
      if (this.#processes.size === 0)
        throw new CheckpointError('THAW_NO_PROCESS', 'Cannot checkpoint: all that was started has ended, and left nothing that runs.')
      return
    }
  }

  /** Undefined for a process that has ended: what is left of it is told by `zombies`. */
  #see(pid: number, isRoot: boolean): SeenProcess | undefined {
    const known = this.#processes.get(pid)
    if (known !== undefined) return known
    try {
      if (!this.#must(pid) && isOver(pid) && childrenOf(pid).length === 0) return undefined
      const seen = surveyProcess(pid, isRoot ? 0 : Number(field(readStatus(pid), 'PPid')))
      this.#processes.set(pid, seen)
      return seen
    } catch (error) {
      if (!this.#must(pid) && (isOver(pid) || isEnd(error))) return undefined
      throw error
    }
  }

  /** Of a tree that runs on: who has ended since it was seen. @returns whether there was anybody */
  forgetEnded(): boolean {
    const ended = this.processes.filter((seen) => !this.#must(seen.pid) && hasEnded(seen))
    for (const { pid, pidfd } of ended) {
      closeSync(pidfd)
      this.#processes.delete(pid)
    }
    return ended.length > 0
  }

  /**
   * Freezes all of it: until two passes in a row find nobody who is not frozen. Who ends while the tree is listed hands its children on to one whose own
   * were listed before, where the next pass finds them; and who is reaped then has a listing skip another one: only who was a zombie before a pass, and is
   * one after it, hides nobody. The caller releases what `seized` then holds.
   */
  seize(seized: SeizedTree): void {
    const zombies = new Set<number>()
    const until = native.clockGettime(CLOCK_MONOTONIC) + TO_END_NS
    for (let pass = 0, isQuiet = false; pass < MOST_PASSES;) {
      const roots = rootsOf(this.#root)
      const listed = treeBelow(roots)
      const fresh = listed.filter((pid) => !seized.has(pid) && !(zombies.has(pid) && isZombie(pid)))
      if (fresh.length === 0 && isQuiet) return this.#settle(seized, listed)
      isQuiet = fresh.length === 0
      for (const pid of fresh) {
        const isRoot = roots.includes(pid)
        if (!this.#must(pid) && isZombie(pid)) zombies.add(pid)
        else if (this.#see(pid, isRoot) !== undefined) seized.seize(pid, this.#must(pid))
      }
      // Neither there nor gone: it takes as long to end as it has memory to give back.
      const ending = fresh.some((pid) => !seized.has(pid) && !isOver(pid))
      if (ending) pause(END_PAUSE_MS)
      if (!ending || native.clockGettime(CLOCK_MONOTONIC) > until) pass++
    }
    throw new CheckpointError(
      'THAW_PROCESSES_FLEE',
      `Cannot freeze the tree of pid ${rootsOf(this.#root).join(', ')}: it starts new processes faster than they can be stopped. Checkpoint it when it has settled.`,
    )
  }

  /** Forgets who was there at the survey and has ended since. @param order of the frozen tree, in which the rest is left */
  #settle(seized: SeizedTree, order: readonly number[]): void {
    for (const [pid, { pidfd }] of this.#processes) {
      if (order.includes(pid) && seized.has(pid)) continue
      closeSync(pidfd)
      this.#processes.delete(pid)
    }
    const sorted = order.flatMap((pid) => this.#processes.get(pid) ?? [])
    this.#processes.clear()
    for (const seen of sorted) this.#processes.set(seen.pid, { ...seen, parentPid: parentIn(sorted, seen.pid) })
    const refusals = new Refusals()
    // The first is what others are compared with.
    const fresh = this.processes.filter(({ pid }, i) => i === 0 || !this.#compared.has(pid))
    for (const refusal of [...sharedTasks(this.processes), ...splitNamespaces(fresh)]) refusals.add(refusal)
    refusals.throw()
  }

  /** Children that have ended and were not reaped. While the tree runs, they may come and go. @throws UnsupportedError */
  zombies(): ZombieModel[] {
    const refusals = new Refusals()
    const zombies = this.processes.flatMap((parent) =>
      childrenOf(parent.pid)
        .filter((pid) => !this.#processes.has(pid) && isOver(pid))
        .flatMap((pid) => refusals.gather(() => zombieOf(pid, parent)) ?? []),
    )
    refusals.throw()
    return zombies
  }

  [Symbol.dispose](): void {
    for (const { pidfd } of this.#processes.values()) closeSync(pidfd)
    this.#processes.clear()
  }
}

function parentIn(processes: readonly SeenProcess[], pid: number): number {
  const parent = Number(field(readStatus(pid), 'PPid'))
  return processes.some((other) => other.pid === parent) ? parent : 0
}

/** Processes whose threads all stand in ptrace-stop. */
export class SeizedTree {
  readonly #processes = new Map<number, SeizedProcess>()
  readonly #clocks = new RunQueueClocks()

  has(pid: number): boolean {
    return this.#processes.has(pid)
  }

  of(pid: number): SeizedProcess {
    const seized = this.#processes.get(pid)
    if (seized === undefined) throw new Error(`process ${pid} is not seized`)
    return seized
  }

  /** One that ends before it stands is left out, unless it `must` be there. */
  seize(pid: number, must: boolean): void {
    const process = new SeizedProcess(pid, this.#clocks)
    this.#processes.set(pid, process)
    try {
      process.seize()
      refuseUserDispatch(pid, process.tids)
    } catch (error) {
      if (must || !(isEnd(error) && isOver(pid))) throw error
      process.release()
      this.#processes.delete(pid)
    }
  }

  /** When the checkpoint has failed. */
  giveUp(): void {
    for (const process of this.#processes.values()) giveUp(process)
  }

  /** The last first: a parent that goes on finds its children going on. */
  release(): void {
    for (const process of [...this.#processes.values()].toReversed()) process.release()
    this.#processes.clear()
  }
}

/** Whether a process has ended, zombie or not. */
export const hasEnded = ({ pidfd }: SeenProcess): boolean => native.poll(pidfd, POLLIN, 0) !== 0

const POLLIN = 1
