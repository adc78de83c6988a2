/** Freezing: PTRACE_SEIZE and PTRACE_INTERRUPT on every thread, again until a pass over /proc/PID/task finds nobody new. */
import { readdirSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { SystemError } from '../../native/index.js'
import { CheckpointError, UnsupportedError } from '../errors.js'
import { readStat } from '../proc/status.js'
import { isIn, isRestarting, noteSleep, sleptOn } from './sleep.js'
import type { RunQueueClocks, Sleep } from './sleep.js'
import { hasEnded, isBeingStopped, letGo, stopOf, stopped } from './stop.js'
import type { Support } from '../resources/support.js'
import { suspendSeccomp } from '../resources/seccomp/access.js'

export const support: Support = {
  topic: 'task',
  refused: { THAW_UNINTERRUPTIBLE: 'tasks that wait, longer than a second, for what cannot be interrupted' },
}

const CLOCK_MONOTONIC = 1
export const SIGTRAP = 5
const STAT_FLAGS = 9 - 3
const PF_IO_WORKER = 0x10
const PF_USER_WORKER = 0x4000
/** A process that starts threads faster than this many passes can catch is given up, unharmed. */
const MOST_PASSES = 64

/** More than a thread needs to go to sleep again. */
const TO_SLEEP_NS = 2_000_000n

/** By the dumper's CLOCK_MONOTONIC. */
export interface SleepUntil {
  readonly since: bigint
  readonly stopped: bigint
  /** The call that it was blocked in, where it was seen. */
  readonly call?: bigint
}

interface Noted {
  readonly sleep: Sleep | undefined
  /** When it was interrupted, right after. */
  readonly interrupted: bigint
}

interface Stop {
  readonly at: bigint
  /** That the freeze ended. */
  readonly sleep: Sleep | undefined
}

/** Threads of one process, all in ptrace-stop. Ends with `release`, or with the death of this thread: the kernel then detaches. */
export class SeizedProcess {
  readonly pid: number
  /** The leader first. */
  readonly tids: number[] = []
  readonly #clocks: RunQueueClocks
  readonly #stops = new Map<number, Stop>()
  /** The signal by which its threads are stopped (job control), or SIGTRAP when they are not. */
  #stop = 0

  constructor(pid: number, clocks: RunQueueClocks) {
    this.pid = pid
    this.#clocks = clocks
  }

  seize(): void {
    for (let pass = 0; pass < MOST_PASSES; pass++) {
      const fresh = threadsOf(this.pid).filter((tid) => !this.tids.includes(tid))
      if (fresh.length === 0) return this.#suspendFilters()
      for (const tid of fresh) this.#seizeThread(tid)
    }
    throw new CheckpointError(
      'THAW_THREADS_FLEE',
      `Cannot freeze pid ${this.pid}: it starts new threads faster than they can be stopped. Checkpoint it when it has settled.`,
      { pid: this.pid },
    )
  }

  /** Once nobody can set one any more, also for others (SECCOMP_FILTER_FLAG_TSYNC). */
  #suspendFilters(): void {
    for (const tid of this.tids) suspendSeccomp(this.pid, tid)
  }

  /** The signal that had stopped the process before it was frozen; undefined when it ran. */
  get stopSignal(): number | undefined {
    return this.#stop === SIGTRAP ? undefined : this.#stop
  }

  /** Since when a thread was blocked, and until when: asked when all stand still. One that was not seen to sleep is taken to have just begun to. */
  sleepOf(tid: number): SleepUntil {
    const { at: stopped, sleep } = this.#stops.get(tid) ?? { at: native.clockGettime(CLOCK_MONOTONIC), sleep: undefined }
    if (sleep === undefined) return { since: stopped, stopped }
    const clock = this.#clocks.of(sleep.processor)
    const since = clock === undefined || clock + sleep.at > stopped ? stopped : clock + sleep.at
    return { since, stopped, call: sleep.call }
  }

  #seizeThread(tid: number): void {
    try {
      if (this.tids.length === 0) native.seize(tid)
      else native.seizeAnother(this.pid, tid)
    } catch (cause) {
      const error = cause as SystemError
      const ended = error.code === 'ESRCH' || hasEnded(this.pid, tid)
      if (ended && tid !== this.pid) return
      throw ended ? diedMeanwhile(tid, error) : seizeError(this.pid, error)
    }
    this.tids.push(tid)
    // Right before: what it does in between is not known.
    const noted: Noted = { sleep: noteSleep(this.pid, tid), interrupted: native.clockGettime(CLOCK_MONOTONIC) }
    native.interrupt(tid)
    const stop = this.#stopOf(tid)
    if (stop === undefined) {
      // A leader whose end was not told yet is waited for once that of its threads was.
      if (tid !== this.pid) this.tids.splice(this.tids.indexOf(tid), 1)
    } else {
      if (this.#stop !== 0 && stop !== this.#stop) throw isBeingStopped(this.pid)
      this.#stop = stop
      this.#noteStop(tid, noted)
    }
    if (stop === undefined && tid === this.pid) throw diedMeanwhile(tid)
  }

  /** What does not stop cannot be let go either, before this thread ends. */
  #stopOf(tid: number): number | undefined {
    try {
      return stopOf(tid, () => this.#seeEnds(tid))
    } catch (error) {
      this.tids.splice(this.tids.indexOf(tid), 1)
      throw error
    }
  }

  /** Of threads that another one has killed (execve(2)), and waits for: until their tracer has seen their end. */
  #seeEnds(waiting: number): void {
    for (const tid of this.tids) if (tid !== waiting && tid !== this.pid && hasEnded(this.pid, tid)) native.wait(tid, true)
  }

  #noteStop(tid: number, noted: Noted): void {
    for (let tries = 0, { sleep, interrupted } = noted; ; tries++) {
      // In this order: the kernel waits until the thread is off its processor.
      const registers = native.getRegisters(tid)
      const at = native.clockGettime(CLOCK_MONOTONIC)
      const known = sleep !== undefined && isIn(registers, sleep.call) && sleptOn(this.pid, tid, sleep, at - interrupted)
      this.#stops.set(tid, { at, sleep: known ? sleep : undefined })
      if (known || tries === MOST_PASSES || this.#stop !== SIGTRAP || !isRestarting(registers)) return
      // On its way back into a call that it was interrupted in: which one, only its sleep tells.
      ;({ sleep, interrupted } = this.#letSleep(tid))
    }
  }

  #letSleep(tid: number): Noted {
    native.resume(tid)
    const until = native.clockGettime(CLOCK_MONOTONIC) + TO_SLEEP_NS
    let sleep: Sleep | undefined
    while ((sleep = noteSleep(this.pid, tid)) === undefined && native.clockGettime(CLOCK_MONOTONIC) < until);
    const interrupted = native.clockGettime(CLOCK_MONOTONIC)
    native.interrupt(tid)
    if (!stopped(tid, SIGTRAP))
      throw new CheckpointError('THAW_PROCESS_DIED', `Thread ${tid} was killed during the checkpoint.`, { pid: tid })
    return { sleep, interrupted }
  }

  /** Lets every thread go on, or stays stopped with SIGSTOP where asked. Threads that died meanwhile are passed over. */
  release(): void {
    // The leader last: its end is only reported after that of all others.
    for (const tid of this.tids.toReversed()) {
      try {
        native.detach(tid)
      } catch (error) {
        if ((error as SystemError).code !== 'ESRCH') throw error
        letGo(tid)
      }
    }
    this.tids.length = 0
  }
}

/** Thread ids of a process, the leader first; without those that work for the kernel on io_uring requests, which cannot be stopped. */
export function threadsOf(pid: number): number[] {
  // A listing ends at a thread that ends as it is listed. Of those that are stopped none does, but those that work for the kernel may.
  for (let before: string | undefined; ;) {
    const tids = readdirSync(`/proc/${pid}/task`).map(Number)
    const own = tids.filter((tid) => tid === pid || !isKernelWorker(pid, tid))
    if (own.length === tids.length || tids.join() === before) return [pid, ...own.filter((tid) => tid !== pid).sort((a, b) => a - b)]
    before = tids.join()
  }
}

function isKernelWorker(pid: number, tid: number): boolean {
  try {
    return (Number(readStat(pid, tid)[STAT_FLAGS]) & (PF_IO_WORKER | PF_USER_WORKER)) !== 0
  } catch {
    // It has ended meanwhile, which the attempt to seize it finds out.
    return false
  }
}

const diedMeanwhile = (pid: number, cause?: SystemError): CheckpointError =>
  new CheckpointError('THAW_PROCESS_DIED', `Cannot checkpoint pid ${pid}: it ended while it was being frozen.`, {
    pid,
    ...(cause === undefined ? {} : { cause }),
  })

function seizeError(pid: number, cause: SystemError): UnsupportedError {
  const details = { pid, syscall: 'ptrace', errno: cause.errno, cause }
  return new UnsupportedError(
    'THAW_NO_PTRACE',
    `Cannot checkpoint pid ${pid}: this user may not trace it (${cause.code}). Run as the user that owns the process, or as root; see kernel.yama.ptrace_scope.`,
    details,
  )
}
