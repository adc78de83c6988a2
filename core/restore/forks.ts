/**
 * How a process forks its children. A fork copies a map of everything that stands in memory, though of what is not for the child not the
 * contents; for many children that would grow with the square of their number. So they come in batches: for each a nurse, with the
 * memory of its batch only, forks them as children of its own parent (CLONE_PARENT), and ends. A batch that is large itself has nurses of
 * its own, so that the map of a child's memory is copied as often as its number has digits.
 */
import type { Program } from '../program/program.js'
import { membersOf } from './family.js'
import type { Member } from './family.js'
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
  /** By the process that has to reap them. */
  readonly #nurses = new Map<Program, number[]>()
  readonly #nursePids: Iterator<number>

  /** @param emitMember what a child does once it is forked */
  constructor(planning: Planning, emitMember: (program: Program, member: Member) => void) {
    this.#planning = planning
    this.#emitMember = emitMember
    this.#nursePids = unusedPids(planning.image)
    // The first is the helper's.
    this.#nursePids.next()
  }

  emit(program: Program, children: readonly Member[]): void {
    // Siblings are children of init, and a nurse's pid can only be chosen where all are ours.
    const alone = children.length <= MOST_ALONE || this.#planning.options.pidNamespace === 'current'
    const batched = alone ? [] : children.filter(({ isSibling }) => !isSibling)
    for (const child of children) if (!batched.includes(child)) this.#fork(program, child, child.isSibling)
    this.#forkAll(program, batched, program)
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
    const { bundle, failed, shared } = this.#planning
    const stows = children.flatMap((child) => this.#stowsOf(child))
    const pid = this.#nursePids.next().value as number
    const done = shared.word()
    const nurse = bundle.program(`nurse ${pid}`, failed.instance)
    program.for(`nurse ${pid}`, () => {
      for (const stow of stows) stow.emitForked(program, true)
      const args = program === parent ? { flags: 0, pid, exitSignal: SIGCHLD } : { flags: CLONE_PARENT, pid, exitSignal: 0 }
      program.spawn(nurse, cloneArgs(this.#planning, args), CLONE_ARGS_BYTES)
      this.#nurses.set(parent, [...(this.#nurses.get(parent) ?? []), pid])
      for (const stow of stows) stow.emitRelease(program)
      // Children are found, and waited for, in the order in which they were born.
      program.waitFor(done, 1)
    })
    for (const stow of stows) stow.emitForked(nurse, false)
    this.#forkAll(nurse, children, parent)
    nurse.add(done, 1)
    nurse.call('exit_group', [0])
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
    emitLifeline(own, this.#planning, child.isSibling ? 'adopter' : parentOf(child))
    for (const stow of stows) stow.emitForked(own, false)
    this.#emitMember(own, child)
  }

  #stowsOf(child: Member): Stow[] {
    return [...membersOf(child)].flatMap(({ process }) => (process === undefined ? [] : (this.#planning.stows.get(process) ?? [])))
  }

  /** Nurses have ended: each once it has forked its own, which come behind it. @returns whether there were any, whose ends were signalled */
  emitEnds(program: Program): boolean {
    const nurses = this.#nurses.get(program) ?? []
    for (const pid of nurses) program.call('wait4', [pid, 0, WALL, 0])
    return nurses.length > 0
  }
}

const parentOf = ({ process, zombie }: Member): number => process?.parentPid ?? zombie?.parentPid ?? 0
