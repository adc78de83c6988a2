/**
 * The root's program, from the fork to rt_sigreturn:
 *
 *   namespaces → descriptions → numbers → memory of its own → settings → GATE → clocks → timers → threads → credentials → out
 *
 * Behind the gate stands only what the clocks decide: a time namespace is entered by a process without threads, and timers are armed
 * with what was left of them.
 */
import { MappingKind } from '../image/model.js'
import type { ThreadModel } from '../image/model.js'
import { hasTiles, TILE_DATA } from '../program/extended-state.js'
import { extendedFrame, ucontext } from '../program/frame.js'
import type { Program } from '../program/program.js'
import { get } from '../program/registers.js'
import { emitCredentials } from '../resources/credentials.js'
import { emitFileSystem } from '../resources/file-system.js'
import { emitIntervalTimers } from '../resources/interval-timers.js'
import { emitLimits } from '../resources/limits.js'
import { emitProcessSignals, emitThreadSignals } from '../resources/pending-signals.js'
import { armPosixTimers, emitPosixTimers } from '../resources/posix-timers.js'
import { emitDumpable, emitFutureLocks, emitProcessSettings } from '../resources/process-settings.js'
import { emitProtectionKey } from '../resources/protection-keys.js'
import { emitScheduling } from '../resources/scheduling.js'
import { emitOwnSeccomp, emitSharedSeccomp } from '../resources/seccomp.js'
import { emitSignalActions } from '../resources/signal-actions.js'
import { emitParentDeathSignal, emitThreadSettings } from '../resources/thread-settings.js'
import { DescriptorEmitter } from './descriptor-program.js'
import { emitAdvice, emitInstanceAdvice, emitMapping, emitSeal, pagesOf, writableMapping } from './mapping-program.js'
import { remainingOf } from './planning.js'
import type { Planning } from './planning.js'
import { cloneArgs, CLONE_ARGS_BYTES } from './spawning.js'
import { emitContents } from './template-program.js'

const CLONE_NEWTIME = 0x80
const EUSERS = 87
const THREAD_FLAGS = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000 // VM FS FILES SIGHAND THREAD SYSVSEM
const CLONE_SETTLS = 0x80000
const CLONE_CHILD_CLEARTID = 0x200000
const ARCH_SET_GS = 0x1001
const ARCH_SET_FS = 0x1002
const AT_FDCWD = -100
const O_RDWR_CLOEXEC = 0o2000002
const O_RDONLY_CLOEXEC = 0o2000000
const INIT_PID = 1
const THREAD_STACK_BYTES = 2048
const HIGHEST_FD = 0xffff_ffff

export function emitRoot(program: Program, planning: Planning): void {
  const { root, options, spawn } = planning
  const [leader, ...others] = root.threads
  if (leader === undefined) throw new Error('a process without a thread')
  if (options.namespaces !== 0) program.for('namespaces', () => program.call('setns', [spawn.init, options.namespaces]))
  program.for('session', () => program.call('setsid'))
  const descriptors = new DescriptorEmitter(program, planning)
  descriptors.open()
  descriptors.place()
  emitOwnMemory(program, planning)
  emitFileSystem(program, root.fileSystem)
  emitProcessSettings(program, root, options.own.oomScoreAdjustment)
  emitSignalActions(program, root.signalActions)
  emitGate(program, planning)
  descriptors.arm()
  const remaining = (due: bigint): bigint => remainingOf(planning, due)
  emitIntervalTimers(program, root.intervalTimers, remaining)
  const threads = new Threads(planning)
  threads.start(program, others)
  emitPosixTimers(program, root.posixTimers)
  armPosixTimers(program, root.posixTimers, remaining)
  emitProcessSignals(program, root.pid, root.pendingSignals)
  emitFutureLocks(program, root)
  emitLimits(program, root.limits)
  emitLeader(program, planning, leader)
  emitDumpable(program, root)
  emitParentDeathSignal(program, leader)
  // Closes the status stream with the rest: its end of file tells the engine that the tree runs.
  program.for('leaving', () => program.call('close_range', [planning.serviceBase, HIGHEST_FD, 0]))
  emitSharedSeccomp(program, root.threads)
  threads.release(program)
  leave(program, planning, leader)
}

function emitGate(program: Program, { spawn, bundle, options, spareTid }: Planning): void {
  program.for('gate', () => {
    const byte = bundle.allocate(8)
    // The helper that forked this process may not have ended yet; only then its parent is the sandbox's init, or the process that adopts it, as anybody may see.
    const look = program.here
    const adopted = program.jump(0, 'equal', program.call('getppid'), options.pidNamespace === 'new' ? INIT_PID : process.pid)
    program.call('sched_yield')
    program.jump(look)
    adopted.target = program.here
    program.waitFor(spareTid, 0)
    program.call('write', [spawn.status, byte, 1], { equal: 1 })
    program.call('read', [spawn.gate, byte, 1], { equal: 1 })
    // Refused while anybody else has this memory; the spare clears its word just before it is gone.
    const enter = program.here
    const entered = program.call('setns', [spawn.time, CLONE_NEWTIME], { orErrno: EUSERS })
    program.jump(enter, 'equal', entered, -EUSERS)
  })
}

/** Shared mappings, one copy per instance; advice that a fork would lose. */
function emitOwnMemory(program: Program, planning: Planning): void {
  const { mappings, pages } = planning.root.memory
  program.for('shared memory', () => {
    for (const mapping of mappings) {
      if (mapping.kind === MappingKind.fileShared && mapping.file !== null) {
        const flags = writableMapping(mapping) ? O_RDWR_CLOEXEC : O_RDONLY_CLOEXEC
        const fd = program.call('openat', [AT_FDCWD, program.bundle.string(mapping.file.path), flags, 0])
        emitMapping(program, mapping, false, fd)
        program.call('close', [fd])
      }
      if (mapping.kind === MappingKind.anonymousShared) {
        emitMapping(program, mapping, true, undefined)
        emitContents(program, planning.pageFile, pagesOf(pages, [mapping]))
        program.call('mprotect', [mapping.start, mapping.end - mapping.start, mapping.protection])
      }
    }
    for (const mapping of mappings.filter(({ kind }) => kind === MappingKind.fileShared || kind === MappingKind.anonymousShared)) {
      emitProtectionKey(program, mapping)
      emitAdvice(program, mapping)
      emitSeal(program, mapping)
    }
    for (const mapping of mappings) emitInstanceAdvice(program, mapping)
  })
}

function emitLeader(program: Program, planning: Planning, leader: ThreadModel): void {
  const { root, options } = planning
  program.for('leader', () => {
    program.call('set_tid_address', [leader.clearChildTid], 'any')
    emitBases(program, leader)
    emitThreadSignals(program, root.pid, leader.tid, leader.pendingSignals)
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

/** A thread leaves by a signal frame. */
function leave(program: Program, { bundle, root }: Planning, thread: ThreadModel): void {
  const extended = bundle.bytes(extendedFrame(thread.extendedState), 64)
  // Touched first: the kernel reads tiles from a frame only where it has made room for them.
  if (hasTiles(thread.extendedState)) program.restoreExtendedState(extended, TILE_DATA)
  emitOwnSeccomp(program, thread, root.threads)
  const { signalMask, signalStack } = thread
  program.leave(bundle.bytes(ucontext({ registers: BigUint64Array.from(thread.registers), signalMask, signalStack }, extended), 16))
}

/** The threads beside the leader: started one by one with their ids, each waits until all are ready and the leader lets them go. */
class Threads {
  readonly #planning: Planning
  readonly #ready: bigint
  readonly #go: bigint

  constructor(planning: Planning) {
    this.#planning = planning
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
    const { root, options } = this.#planning
    const gsBase = get(BigUint64Array.from(thread.registers), 'gsBase')
    if (gsBase !== 0n) program.call('arch_prctl', [ARCH_SET_GS, gsBase])
    emitThreadSignals(program, root.pid, thread.tid, thread.pendingSignals)
    emitScheduling(program, thread.scheduling, options.own.scheduling)
    emitThreadSettings(program, thread)
    emitCredentials(program, thread.credentials, options.own.credentials)
    emitParentDeathSignal(program, thread)
    program.add(this.#ready, 1)
    program.waitFor(this.#go, 1)
    leave(program, this.#planning, thread)
  }

  release(leader: Program): void {
    leader.add(this.#go, 1)
  }
}
