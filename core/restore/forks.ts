/**
 * How a process forks its children. A fork copies a map of everything that stands in memory, though of what is not for the child not the
 * contents; for many children that would grow with the square of their number. So they come in batches: for each a nurse, with the
 * memory of its batch only, forks them as children of its own parent (CLONE_PARENT), and ends. A batch that is large itself has nurses of
 * its own, so that the map of a child's memory is copied as often as its number has digits.
 */
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import { isFounder, membersOf } from './family.js'
import type { Founder, Member } from './family.js'
import { emitLifeline } from './lifeline.js'
import type { Planning } from './planning.js'
import { cloneArgs, CLONE_ARGS_BYTES, unusedPids } from './spawning.js'
import type { Stow } from './stow.js'

const CLONE_PARENT = 0x8000
const SIGCHLD = 17
const WALL = 0x4000_0000
/** How many children are forked without nurses: a nurse costs a fork of its own, and the memory of its batch is copied twice. */
const MOST_ALONE = 20
/** How many of one kind a process forks otherwise, nurses or children. */
const BATCH = 12

export class Forks {
  readonly #planning: Planning
  readonly #emitMember: (program: Program, member: Member) => void
  /** Nurses, founders and forkers of orphans, by the process that has to reap them. Those without one in the tree are for init. */
  readonly #helpers = new Map<Program, (Cell | number)[]>()
  readonly #helperPids: Iterator<number>

  /** @param emitMember what a child does once it is forked */
  constructor(planning: Planning, emitMember: (program: Program, member: Member) => void) {
    this.#planning = planning
    this.#emitMember = emitMember
    this.#helperPids = unusedPids(planning.image)
    // The first is the helper's.
    this.#helperPids.next()
  }

  /** Before it leads a session of its own. */
  emitElder(program: Program, { elder, pid }: Member): void {
    this.#emit(program, elder, pid)
  }

  /** After it. Parents find their children, and wait for them, in the order in which they were born. */
  emitYounger(program: Program, { younger, pid }: Member): void {
    let between: Member[] = []
    for (const one of younger) {
      if (!isFounder(one)) {
        between.push(one)
        continue
      }
      this.#emit(program, between, pid)
      between = []
      this.#found(program, one, one.parentPid === pid)
    }
    this.#emit(program, between, pid)
  }

  #emit(program: Program, children: readonly Member[], forkerPid: number): void {
    const isSibling = (child: Member): boolean => child.parentPid !== forkerPid
    // Siblings have a parent that waits for no nurses, and a nurse's pid can only be chosen where all are ours.
    const alone = children.length <= MOST_ALONE || this.#planning.options.pidNamespace === 'current'
    const batched = alone ? [] : children.filter((child) => !isSibling(child))
    for (const child of children) if (!batched.includes(child)) this.#fork(program, child, isSibling(child))
    this.#forkAll(program, batched, program)
  }

  /** A zombie forks them itself, as it ends before they are looked at. */
  emitOrphans(program: Program, { orphans, zombie }: Member): void {
    if (orphans.length === 0) return
    const { helperPid, options } = this.#planning
    const fork = (forker: Program): void => {
      // Whom they are to wait for to be gone.
      forker.callInto(helperPid, 'getpid', [])
      for (const orphan of orphans) this.#fork(forker, orphan, false)
    }
    if (zombie !== undefined) return fork(program)
    const pid = options.pidNamespace === 'current' ? undefined : this.#nextPid()
    this.#reap(program, this.#helped(program, orphans, pid, true, fork))
  }

  #found(program: Program, { pid, parentPid, members }: Founder, isChild: boolean): void {
    this.#helped(program, members, pid, isChild, (founder) => {
      emitLifeline(founder, this.#planning, parentPid)
      founder.for('session', () => founder.call('setsid'))
      for (const member of members) this.#fork(founder, member, true)
    })
    if (isChild) this.#reap(program, pid)
  }

  #reap(program: Program, helper: Cell | number): void {
    this.#helpers.set(program, [...(this.#helpers.get(program) ?? []), helper])
  }

  #nextPid(): number {
    return this.#helperPids.next().value as number
  }

  /** @param parent whose children they become; another program is a nurse's */
  #forkAll(program: Program, children: readonly Member[], parent: Program): void {
    if (children.length <= MOST_ALONE) {
      for (const child of children) this.#fork(program, child, program !== parent)
      return
    }
    const size = Math.ceil(children.length / Math.min(BATCH, Math.ceil(children.length / BATCH)))
    for (let at = 0; at < children.length; at += size) this.#nurse(program, children.slice(at, at + size), parent)
  }

  #nurse(program: Program, children: readonly Member[], parent: Program): void {
    const pid = this.#nextPid()
    this.#helped(program, children, pid, program === parent, (nurse) => this.#forkAll(nurse, children, parent))
    this.#reap(parent, pid)
  }

  /** Has a process that ends again fork them, and waits until it has. @returns its pid */
  #helped(
    program: Program,
    children: readonly Member[],
    pid: number | undefined,
    isChild: boolean,
    emitForks: (helper: Program) => void,
  ): Cell {
    const { bundle, failed, shared } = this.#planning
    const stows = children.flatMap((child) => this.#stowsOf(child))
    const done = shared.word()
    const helper = bundle.program(`helper ${pid ?? ''}`, failed.instance)
    let child: Cell | undefined
    program.for(`helper ${pid ?? ''}`, () => {
      for (const stow of stows) stow.emitForked(program, true)
      const args = { ...(pid !== undefined && { pid }), ...(isChild ? { flags: 0, exitSignal: SIGCHLD } : { flags: CLONE_PARENT }) }
      child = program.spawn(helper, cloneArgs(this.#planning, args), CLONE_ARGS_BYTES)
      for (const stow of stows) stow.emitRelease(program)
      // Those that come behind are to be found behind its own.
      program.waitFor(done, 1)
    })
    for (const stow of stows) stow.emitForked(helper, false)
    emitForks(helper)
    helper.add(done, 1)
    helper.call('exit_group', [0])
    return child as Cell
  }

  #fork(program: Program, child: Member, asSibling: boolean): void {
    const { bundle, failed } = this.#planning
    const stows = this.#stowsOf(child)
    const kind = child.zombie === undefined ? 'process' : 'zombie'
    const own = bundle.program(`${kind} ${child.pid}`, failed.instance)
    program.for(`${kind} ${child.pid}`, () => {
      for (const stow of stows) stow.emitForked(program, true)
      const args = { flags: asSibling ? CLONE_PARENT : 0, pid: child.pid, exitSignal: asSibling ? 0 : SIGCHLD }
      program.spawn(own, cloneArgs(this.#planning, args), CLONE_ARGS_BYTES)
      for (const stow of stows) stow.emitRelease(program)
    })
    emitLifeline(own, this.#planning, child.parentPid)
    for (const stow of stows) stow.emitForked(own, false)
    this.#emitMember(own, child)
  }

  #stowsOf(child: Member): Stow[] {
    return [...membersOf(child)].flatMap(({ process }) => (process === undefined ? [] : (this.#planning.stows.get(process) ?? [])))
  }

  /** Helpers have ended: each once it has forked its own, which come behind it. @returns whether there were any, whose ends were signalled */
  emitEnds(program: Program): boolean {
    const helpers = this.#helpers.get(program) ?? []
    for (const pid of helpers) program.call('wait4', [pid, 0, WALL, 0])
    return helpers.length > 0
  }
}
