/** The threads of a process: started with their ids, ready one by one, let go together, each out by rt_sigreturn. */
import { PAGE_BYTES } from '../checkpoint/pages.js'
import type { ProcessModel, ThreadModel } from '../image/model.js'
import type { Bundle } from '../program/bundle.js'
import { hasTiles, TILE_DATA } from '../program/extended-state.js'
import { extendedFrame, ucontext } from '../program/frame.js'
import type { Program } from '../program/program.js'
import { get } from '../program/registers.js'
import { emitCredentials } from '../resources/credentials.js'
import { emitThreadSignals } from '../resources/pending-signals.js'
import { emitOwnSeccomp } from '../resources/seccomp.js'
import { emitScheduling } from '../resources/scheduling.js'
import { emitParentDeathSignal, emitThreadSettings } from '../resources/thread-settings.js'
import { storeTimeLeft } from '../resources/call-limits.js'
import type { Planning } from './planning.js'
import { cloneArgs, CLONE_ARGS_BYTES } from './spawning.js'

const THREAD_FLAGS = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000 // VM FS FILES SIGHAND THREAD SYSVSEM
const CLONE_SETTLS = 0x80000
const CLONE_CHILD_CLEARTID = 0x200000
const ARCH_SET_GS = 0x1001
const ARCH_SET_FS = 0x1002
const THREAD_STACK_BYTES = 2048
/** Since Linux 5.14. */
const MADV_POPULATE_WRITE = 23

/** The threads beside the leader: started one by one with their ids, each waits until all are ready and the leader lets them go. */
export class Threads {
  readonly #planning: Planning
  readonly #process: ProcessModel
  readonly #ready: bigint
  readonly #go: bigint
  /** How many there are. */
  readonly #others: number
  readonly #leaving: Leaving[] = []

  constructor(planning: Planning, process: ProcessModel) {
    this.#planning = planning
    this.#process = process
    this.#others = process.threads.length - 1
    this.#ready = planning.bundle.allocate(4)
    this.#go = planning.bundle.allocate(4)
  }

  start(leader: Program, threads: readonly ThreadModel[]): void {
    if (threads.length === 0) return
    const lowestStack = this.#planning.bundle.allocate(threads.length * THREAD_STACK_BYTES, 64)
    leader.for('threads', () => {
      this.#emitPopulating(leader, lowestStack, threads)
      threads.forEach((thread, i) => this.#start(leader, thread, lowestStack + BigInt((i + 1) * THREAD_STACK_BYTES)))
      leader.waitFor(this.#ready, this.#others)
    })
  }

  /**
   * What each thread is about to write to is copied while there is one: with threads on several processors, the first write to a page that
   * is shared with the template interrupts all of them.
   */
  #emitPopulating(leader: Program, lowestStack: bigint, threads: readonly ThreadModel[]): void {
    const rseqs = threads.flatMap(({ rseq }) => (rseq === null ? [] : [pageOf(rseq.pointer)]))
    leader.call(
      'madvise',
      [pageOf(lowestStack), pageOf(BigInt(threads.length * THREAD_STACK_BYTES) + 2n * PAGE_BYTES), MADV_POPULATE_WRITE],
      'any',
    )
    for (const page of new Set(rseqs)) leader.call('madvise', [page, PAGE_BYTES, MADV_POPULATE_WRITE], 'any')
  }

  #start(leader: Program, thread: ThreadModel, stack: bigint): void {
    const { bundle, failed } = this.#planning
    const program = bundle.program(`thread ${thread.tid}`, failed.instance)
    const clearing = thread.clearChildTid === 0n ? 0 : CLONE_CHILD_CLEARTID
    const args = cloneArgs(this.#planning, {
      flags: THREAD_FLAGS | CLONE_SETTLS | clearing,
      pid: thread.tid,
      childTid: thread.clearChildTid,
      stack,
      stackBytes: THREAD_STACK_BYTES,
      tls: get(BigUint64Array.from(thread.registers), 'fsBase'),
    })
    leader.spawn(program, args, CLONE_ARGS_BYTES)
    this.#emit(program, thread)
  }

  #emit(program: Program, thread: ThreadModel): void {
    const { options } = this.#planning
    const gsBase = get(BigUint64Array.from(thread.registers), 'gsBase')
    if (gsBase !== 0n) program.call('arch_prctl', [ARCH_SET_GS, gsBase])
    emitThreadSignals(program, this.#process, thread)
    emitScheduling(program, thread.scheduling, options.own.scheduling)
    emitThreadSettings(program, thread)
    emitCredentials(program, thread.credentials, options.own.credentials)
    emitParentDeathSignal(program, thread)
    const frame = placeFrame(this.#planning.bundle, thread)
    this.#leaving.push({ thread, frame })
    program.add(this.#ready, 1, this.#others)
    program.waitFor(this.#go, 1)
    leave(program, this.#process, thread, frame)
  }

  /** By the leader, last of all: calls that were interrupted go on for what is left of their time now. No thread of the copy runs yet. */
  emitTimesLeft(leader: Program, own: Leaving): void {
    leader.for('what is left of time limits', () => {
      for (const { thread, frame } of [own, ...this.#leaving])
        if (thread.timeLimit !== null) storeTimeLeft(leader, this.#planning.image.clocks, thread.timeLimit, frame)
    })
  }

  release(leader: Program): void {
    leader.add(this.#go, 1)
  }
}

const pageOf = (address: bigint): bigint => address & ~(PAGE_BYTES - 1n)

/** The leader's own part, after what it does for the process. */
export function emitLeader(program: Program, { options }: Planning, leader: ThreadModel): void {
  program.for('leader', () => {
    program.call('set_tid_address', [leader.clearChildTid], 'any')
    emitBases(program, leader)
    emitScheduling(program, leader.scheduling, options.own.scheduling)
    emitThreadSettings(program, leader)
    emitCredentials(program, leader.credentials, options.own.credentials)
  })
}

function emitBases(program: Program, thread: ThreadModel): void {
  const registers = BigUint64Array.from(thread.registers)
  program.call('arch_prctl', [ARCH_SET_FS, get(registers, 'fsBase')])
  if (get(registers, 'gsBase') !== 0n) program.call('arch_prctl', [ARCH_SET_GS, get(registers, 'gsBase')])
}

/** A thread, and the address of the signal frame that it leaves by. */
interface Leaving {
  readonly thread: ThreadModel
  readonly frame: { readonly context: bigint; readonly extended: bigint }
}

export function placeFrame(bundle: Bundle, thread: ThreadModel): Leaving['frame'] {
  const { signalMask, signalStack, timeLimit } = thread
  const registers = BigUint64Array.from(thread.registers)
  if (timeLimit !== null && timeLimit.address !== 0n) registers[timeLimit.register] = timeLimit.address
  const extended = bundle.bytes(extendedFrame(thread.extendedState), 64)
  return { extended, context: bundle.bytes(ucontext({ registers, signalMask, signalStack }, extended), 16) }
}

export function leave(program: Program, { threads }: ProcessModel, thread: ThreadModel, { context, extended }: Leaving['frame']): void {
  emitOwnSeccomp(program, thread, threads)
  // Touched first: the kernel reads tiles from a frame only where it has made room for them.
  if (hasTiles(thread.extendedState)) program.restoreExtendedState(extended, TILE_DATA)
  program.leave(context)
}
