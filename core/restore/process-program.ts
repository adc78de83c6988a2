/**
 * The programs of the processes, from the fork to rt_sigreturn:
 *
 *   first    namespaces → descriptions → FORKS → memory → groups → numbers → settings → GATE → clocks → timers → threads → credentials → out
 *   others                               FORKS → memory → groups → numbers → settings → GATE → clocks → timers → threads → credentials → out
 *
 * Behind the gate stands only what the clocks decide (a time namespace is entered by a process without threads, and timers are armed with what
 * was left of them) and what an instance that stands by must not have: locks on files. Where descriptors lead to threads, these come first, then such descriptors, then timers; those that lead to
 * processes only come right before the gate. The first process waits there for all others, then for the engine; and nobody leaves before all can.
 */
import type { ProcessModel, ThreadModel } from '../image/model.js'
import type { Program } from '../program/program.js'
import { makeSharedDeleted } from '../resources/deleted-mapping.js'
import { emitAllSeals } from '../resources/deleted-file.js'
import { emitFileSystem, emitRoot } from '../resources/file-system.js'
import { emitIntervalTimers } from '../resources/interval-timers.js'
import { emitAwaitStops, emitQuietStops, emitStop } from '../resources/job-control.js'
import { emitLimits } from '../resources/limits.js'
import { emitMemoryFiles } from '../resources/memory-files.js'
import { emitProcessSignals, emitThreadSignals, emitTimersOfThreads, hasTimers } from '../resources/pending-signals.js'
import { armOverrunTimers, armPosixTimers, emitPosixTimers, emitRestoreIds } from '../resources/posix-timers.js'
import { emitDumpable, emitFutureLocks, emitProcessSettings, emitSubreaper } from '../resources/process-settings.js'
import { emitFreedKeys } from '../resources/protection-keys.js'
import { emitControl, emitForeground } from '../resources/pty/control.js'
import { emitSharedSeccomp } from '../resources/seccomp.js'
import { emitSignalActions } from '../resources/signal-actions.js'
import { emitParentDeathSignal } from '../resources/thread-settings.js'
import { emitQueue } from '../resources/sysv-queue.js'
import { emitSemaphores } from '../resources/sysv-semaphores.js'
import { Descriptors } from './descriptor-program.js'
import { forkedBy } from './family.js'
import type { Member } from './family.js'
import { Forks } from './forks.js'
import { Groups } from './groups.js'
import { emitForkedMemory, emitForkedSeals, emitForks, emitStrange } from './forked-memory.js'
import type { Planning } from './planning.js'
import { emitAdoption, emitLifeline, EndOfLifelines, hasLifelines } from './lifeline.js'
import { emitAllMade } from './remover.js'
import { emitLayout, keysOf } from './template-program.js'
import { emitOwnMemory } from './own-memory.js'
import { emitNamespaces, helperMakes } from './spawning.js'
import { emitLeader, leave, placeFrame, Threads } from './threads.js'
import { emitForgottenEnds, emitZombie, emitZombiesEnds } from './zombies.js'

const CLONE_NEWTIME = 0x80
const EUSERS = 87
const HIGHEST_FD = 0xffff_ffff

export class Processes {
  readonly #planning: Planning
  readonly #descriptors: Descriptors
  readonly #groups: Groups
  readonly #forks: Forks
  readonly #ends: EndOfLifelines
  /** How many of the others stand at the gate, and are done with what is behind it; whether they may pass, and leave. */
  readonly #ready: bigint
  readonly #go: bigint
  readonly #done: bigint
  readonly #release: bigint
  readonly #others: number
  /** How many of the others are as far as descriptors need that lead to tasks, and whether these are there. */
  readonly #complete: bigint
  readonly #opened: bigint
  /** A word for each turn of late epoll sets. */
  readonly #met: readonly bigint[]

  constructor(planning: Planning) {
    this.#planning = planning
    this.#descriptors = new Descriptors(planning)
    this.#others = planning.image.processes.length - 1
    const { shared } = planning
    ;[this.#ready, this.#go, this.#done, this.#release] = [shared.word(), shared.word(), shared.word(), shared.word()]
    ;[this.#complete, this.#opened] = [shared.word(), shared.word()]
    this.#ends = new EndOfLifelines(planning)
    this.#met = Array.from({ length: this.#descriptors.lateTurns }, () => shared.word())
    this.#groups = new Groups(planning)
    this.#forks = new Forks(planning, (program, member) => this.#emitMember(program, member))
  }

  /** @param program of the first process */
  emit(program: Program): void {
    const { family, shared, image } = this.#planning
    if (!helperMakes(this.#planning)) emitNamespaces(program, this.#planning)
    shared.emit(program, this.#planning, this.#descriptors.emitter(program, 0))
    emitMemoryFiles(this.#descriptors.emitter(program, 0), image.memoryFiles)
    this.#emitSysv(program)
    this.#descriptors.open(program)
    // Nameless files that are only mapped are made here, too, for all to inherit.
    for (const { memory } of image.processes)
      for (const { file } of memory.mappings) if (file !== null) makeSharedDeleted(file, this.#descriptors.emitter(program, 0))
    this.#emitMember(program, family.first)
  }

  #emitSysv(program: Program): void {
    const { image, root } = this.#planning
    const emitter = this.#descriptors.emitter(program, 0)
    for (const set of image.semaphores)
      program.for(`System V semaphores ${set.permissions.id}`, () => emitSemaphores(emitter, set, root.pid))
    for (const queue of image.queues) program.for(`System V messages ${queue.permissions.id}`, () => emitQueue(emitter, queue, root.pid))
  }

  #emitMember(program: Program, member: Member): void {
    if (member.zombie !== undefined) return emitZombie(program, member, member.zombie, this.#groups, this.#forks)
    const process = member.process
    if (process === undefined) throw new Error('a member that is neither a process nor a zombie')
    const index = this.#planning.image.processes.indexOf(process)
    const isInPlace = this.#planning.inheritance.isInPlace(process)
    if (index > 0) emitStrange(program, this.#planning, process)
    if (index > 0 && isInPlace) emitForkedMemory(program, this.#planning, process)
    this.#emitFamily(program, member, process)
    // Not sooner: meanwhile the helper ends.
    if (index === 0) emitLifeline(program, this.#planning, member.parentPid)
    if (index > 0 && !isInPlace) emitForkedMemory(program, this.#planning, process)
    program.for('vDSO', () => this.#planning.vdso.emitRest(program, process.memory))
    if (index > 0) emitForkedSeals(program, process)
    // After its forks, which may map what is its executable then, and has to be theirs yet: the kernel replaces only one that is mapped nowhere.
    program.for('layout', () => emitLayout(program, process.memory, true))
    emitFreedKeys(program, keysOf(this.#planning.image), process.memory.protectionKeys)
    this.#groups.emit(program, member)
    this.#descriptors.place(program, index)
    emitOwnMemory(program, this.#planning, process, this.#descriptors.emitter(program, index))
    emitProcessSettings(program, process, this.#planning.options.own.oomScoreAdjustment)
    emitFileSystem(program, process, this.#planning.image.descriptions)
    this.#emitEnds(program, member)
    emitSignalActions(program, process.signalActions)
    const children = this.#planning.image.processes.filter(({ parentPid }) => parentPid === process.pid)
    emitQuietStops(program, children)
    if (this.#descriptors.leadTo === 'processes') this.#emitLeads(program, index)
    if (index === 0) this.#emitGate(program)
    else this.#emitGateOfOthers(program, member)
    this.#emitRest(program, process, index, children)
  }

  /** Who was forked to end has ended, and what that has sent is forgotten: what was pending, comes from the image. */
  #emitEnds(program: Program, member: Member): void {
    const ends = [emitZombiesEnds(program, forkedBy(member)), this.#groups.emitEnds(program, member), this.#forks.emitEnds(program)]
    if (ends.includes(true)) emitForgottenEnds(program)
  }

  /** Behind the gate. */
  #emitRest(program: Program, process: ProcessModel, index: number, children: readonly ProcessModel[]): void {
    const [leader, ...others] = process.threads
    if (leader === undefined) throw new Error('a process without a thread')
    emitSubreaper(program, process)
    const threadsFirst = this.#descriptors.leadTo === 'threads'
    const awaitStops = (): void => emitAwaitStops(program, children, process.signalActions)
    if (!threadsFirst) awaitStops()
    emitForeground(this.#descriptors.emitter(program, index), this.#planning.image.descriptions, process.pid)
    const threads = new Threads(this.#planning, process)
    const startThreads = (): void => {
      if (hasTimers(process)) emitRestoreIds(program, true)
      threads.start(program, others)
    }
    if (threadsFirst) {
      startThreads()
      this.#emitLeads(program, index)
      // Children stop when they have what is opened here.
      awaitStops()
    }
    this.#descriptors.arm(program, index)
    // Timers run late by what comes before them.
    if (!threadsFirst) startThreads()
    this.#emitSignals(program, process, leader, others)
    this.#emitLate(program, index, process)
    emitFutureLocks(program, process)
    emitLimits(program, process.limits)
    emitRoot(program, process)
    emitLeader(program, this.#planning, leader)
    emitDumpable(program, process)
    if (hasLifelines(this.#planning)) emitLifeline(program, this.#planning, process.parentPid)
    else emitParentDeathSignal(program, leader)
    program.for('leaving', () => this.#emitLeaving(program, index, process, leader))
    emitStop(program, process)
    const frame = placeFrame(this.#planning.bundle, leader)
    threads.emitTimesLeft(program, { thread: leader, frame })
    emitSharedSeccomp(program, process.threads)
    threads.release(program)
    leave(program, process, leader, frame)
  }

  /** Descriptors that lead to processes or threads: when all of them are there, and before anything tells of what is done to sockets. */
  #emitLeads(program: Program, index: number): void {
    if (index === 0) {
      if (this.#others > 0) program.waitFor(this.#complete, this.#others)
      this.#descriptors.openLeads(program)
      if (this.#others > 0) program.add(this.#opened, 1)
    } else {
      program.add(this.#complete, 1)
      this.#descriptors.takeLeads(program, index)
      program.waitFor(this.#opened, 1)
    }
    this.#descriptors.placeLeads(program, index)
  }

  /** Signals that pend, and the timers that send them or will. */
  #emitSignals(program: Program, process: ProcessModel, leader: ThreadModel, others: readonly ThreadModel[]): void {
    const { clocks } = this.#planning.image
    emitPosixTimers(program, process.posixTimers)
    armOverrunTimers(program, process.posixTimers, clocks)
    emitProcessSignals(program, process)
    emitThreadSignals(program, process, leader)
    emitTimersOfThreads(program, process, others)
    if (hasTimers(process)) emitRestoreIds(program, false)
    armPosixTimers(program, process.posixTimers, clocks)
    emitIntervalTimers(program, process.pid, process.intervalTimers, clocks)
  }

  /**
   * All meet before each turn, so that nothing of what is watched then changes any more. One that is to stop does not wait: its parent, whom it
   * may watch something of, waits for its stop before it comes here.
   */
  #emitLate(program: Program, index: number, { stopped }: ProcessModel): void {
    const waits = this.#others > 0 && !stopped && this.#descriptors.hasLate(index)
    this.#met.forEach((word, turn) => {
      if (this.#others > 0) program.add(word, 1, this.#others + 1)
      if (waits) program.for('epoll sets', () => program.waitFor(word, this.#others + 1))
      this.#descriptors.watchLate(program, index, turn)
    })
  }

  /** Closes the status stream with the rest: its end of file tells the engine that the tree runs. */
  #emitLeaving(program: Program, index: number, { stopped }: ProcessModel, leader: ThreadModel): void {
    const close = (): unknown => program.call('close_range', [this.#planning.serviceBase, HIGHEST_FD, 0])
    if (index > 0) {
      close()
      program.add(this.#done, 1, this.#others)
      // One that is to stop does so while its parent waits for it, and goes on when somebody says so.
      if (stopped) return this.#ends.emit(program, leader)
      program.waitFor(this.#release, 1)
      this.#ends.emit(program, leader)
      this.#ends.emitAwait(program, false)
      return
    }
    if (this.#others > 0) program.waitFor(this.#done, this.#others)
    // From here on it runs, whoever is killed.
    this.#ends.emit(program, leader)
    emitAllMade(program, this.#planning)
    if (this.#others > 0) {
      program.add(this.#release, 1)
      this.#ends.emitAwait(program, true)
    }
    close()
  }

  /** Those that stayed in the session that this process leaves come first. */
  #emitFamily(program: Program, member: Member, process: ProcessModel): void {
    const fork = (): void => {
      this.#forks.emitElder(program, member)
      if (member.leadsSession) this.#emitSession(program, member)
      this.#forks.emitYounger(program, member)
      this.#forks.emitOrphans(program, member)
      this.#groups.emitLost(program, member)
    }
    if (forkedBy(member).length > 0) emitForks(program, this.#planning, process, fork)
    else fork()
  }

  #emitSession(program: Program, { pid, process }: Member): void {
    program.for('session', () => program.call('setsid'))
    const { processes, descriptions } = this.#planning.image
    if (process !== undefined) emitControl(this.#descriptors.emitter(program, processes.indexOf(process)), descriptions, pid)
  }

  #emitGate(program: Program): void {
    const { spawn, bundle, spareTid } = this.#planning
    program.for('gate', () => {
      const byte = bundle.allocate(8)
      emitAdoption(program, this.#planning)
      program.waitFor(spareTid, 0)
      if (this.#others > 0) program.waitFor(this.#ready, this.#others)
      emitAllSeals(this.#descriptors.emitter(program, 0))
      program.call('write', [spawn.status, byte, 1], { equal: 1 })
      program.call('read', [spawn.gate, byte, 1], { equal: 1 })
      if (this.#others > 0) program.add(this.#go, 1)
      // Refused while anybody else has this memory; the spare clears its word just before it is gone.
      const enter = program.here
      const entered = program.call('setns', [spawn.time, CLONE_NEWTIME], { orErrno: EUSERS })
      program.jump(enter, 'equal', entered, -EUSERS)
    })
  }

  #emitGateOfOthers(program: Program, { parentPid }: Member): void {
    program.for('gate', () => {
      if (parentPid === 0) emitAdoption(program, this.#planning)
      program.add(this.#ready, 1, this.#others)
      program.waitFor(this.#go, 1)
      program.call('setns', [this.#planning.spawn.time, CLONE_NEWTIME])
    })
  }
}
