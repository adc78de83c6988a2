/** The threads of a process: started with their ids, ready one by one, let go together, each out by rt_sigreturn. */
import type { ProcessModel, ThreadModel } from '../image/model.js'
import { hasTiles, TILE_DATA } from '../program/extended-state.js'
import { extendedFrame, ucontext } from '../program/frame.js'
import type { Program } from '../program/program.js'
import { get } from '../program/registers.js'
import { emitCredentials } from '../resources/credentials.js'
import { emitThreadSignals } from '../resources/pending-signals.js'
import { emitOwnSeccomp } from '../resources/seccomp.js'
import { emitScheduling } from '../resources/scheduling.js'
import { emitParentDeathSignal, emitThreadSettings } from '../resources/thread-settings.js'
import { limitWords, withTimeLeft } from '../program/time-limit.js'
import { remainingOf } from './planning.js'
import type { Planning } from './planning.js'
import { cloneArgs, CLONE_ARGS_BYTES } from './spawning.js'

const THREAD_FLAGS = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000 // VM FS FILES SIGHAND THREAD SYSVSEM
const CLONE_SETTLS = 0x80000
const CLONE_CHILD_CLEARTID = 0x200000
const ARCH_SET_GS = 0x1001
const ARCH_SET_FS = 0x1002
const THREAD_STACK_BYTES = 2048

/** The threads beside the leader: started one by one with their ids, each waits until all are ready and the leader lets them go. */
export class Threads {
  readonly #planning: Planning
  readonly #process: ProcessModel
  readonly #ready: bigint
  readonly #go: bigint

  constructor(planning: Planning, process: ProcessModel) {
    this.#planning = planning
    this.#process = process
    this.#ready = planning.bundle.allocate(4)
    this.#go = planning.bundle.allocate(4)
  }

  start(leader: Program, threads: readonly ThreadModel[]): void {
    leader.for('threads', () => {
      for (const thread of threads) this.#start(leader, thread)
      leader.waitFor(this.#ready, threads.length)
    })
  }

  #start(leader: Program, thread: ThreadModel): void {
    const { bundle, failed } = this.#planning
    const program = bundle.program(`thread ${thread.tid}`, failed.instance)
    const clearing = thread.clearChildTid === 0n ? 0 : CLONE_CHILD_CLEARTID
    const args = cloneArgs(this.#planning, {
      flags: THREAD_FLAGS | CLONE_SETTLS | clearing,
      pid: thread.tid,
      childTid: thread.clearChildTid,
      stack: bundle.stack(THREAD_STACK_BYTES),
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
    emitThreadSignals(program, this.#process.pid, thread.tid, thread.pendingSignals)
    emitScheduling(program, thread.scheduling, options.own.scheduling)
    emitThreadSettings(program, thread)
    emitCredentials(program, thread.credentials, options.own.credentials)
    emitParentDeathSignal(program, thread)
    const registers = emitTimeLeft(program, this.#planning, thread)
    program.add(this.#ready, 1)
    program.waitFor(this.#go, 1)
    leave(program, this.#planning, this.#process, thread, registers)
  }

  release(leader: Program): void {
    leader.add(this.#go, 1)
  }
}

/** The leader's own part, after what it does for the process. */
export function emitLeader(program: Program, { options }: Planning, process: ProcessModel, leader: ThreadModel): void {
  program.for('leader', () => {
    program.call('set_tid_address', [leader.clearChildTid], 'any')
    emitBases(program, leader)
    emitThreadSignals(program, process.pid, leader.tid, leader.pendingSignals)
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

/** A thread leaves by a signal frame. @param registers what it goes on with */
export function leave(
  program: Program,
  { bundle }: Planning,
  { threads }: ProcessModel,
  thread: ThreadModel,
  registers: BigUint64Array,
): void {
  emitOwnSeccomp(program, thread, threads)
  const extended = bundle.bytes(extendedFrame(thread.extendedState), 64)
  // Touched first: the kernel reads tiles from a frame only where it has made room for them.
  if (hasTiles(thread.extendedState)) program.restoreExtendedState(extended, TILE_DATA)
  const { signalMask, signalStack } = thread
  program.leave(bundle.bytes(ucontext({ registers, signalMask, signalStack }, extended), 16))
}

/** The call that was interrupted goes on for what was left of its time. Memory is written before any thread of the copy runs. */
export function emitTimeLeft(program: Program, planning: Planning, { registers, timeLimit }: ThreadModel): BigUint64Array {
  const before = BigUint64Array.from(registers)
  if (timeLimit === null) return before
  const left = remainingOf(planning, timeLimit.due)
  if (timeLimit.address !== 0n)
    program.for('what is left of a time limit', () => {
      limitWords(timeLimit, left).forEach((word, i) => program.store(timeLimit.address + BigInt(i * 8), word, 8))
    })
  return withTimeLeft(before, timeLimit, left)
}
