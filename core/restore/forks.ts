/**
 * How a process forks its children. A fork copies a map of everything that stands in memory, though of what is not for the child not the
 * contents; for many children that would grow with the square of their number. So they come in batches: for each a nurse, with the
 * memory of its batch only, forks them as children of its own parent (CLONE_PARENT), and ends.
 */
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import { membersOf } from './family.js'
import type { Member } from './family.js'
import type { Planning } from './planning.js'
import { cloneArgs, CLONE_ARGS_BYTES, unusedPids } from './spawning.js'
import type { Stow } from './stow.js'

const CLONE_PARENT = 0x8000
const SIGCHLD = 17
const WALL = 0x4000_0000
const BATCH = 24

export class Forks {
  readonly #planning: Planning
  readonly #emitMember: (program: Program, member: Member) => void
  /** By the process that has to reap them. */
  readonly #nurses = new Map<Program, Cell[]>()
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
    const alone = children.length <= BATCH || this.#planning.options.pidNamespace === 'current'
    const batched = alone ? [] : children.filter(({ isSibling }) => !isSibling)
    for (const child of children) if (!batched.includes(child)) this.#fork(program, child, child.isSibling)
    for (let at = 0; at < batched.length; at += BATCH) this.#nurse(program, batched.slice(at, at + BATCH))
  }

  #nurse(program: Program, children: readonly Member[]): void {
    const { bundle, failed } = this.#planning
    const stows = children.flatMap((child) => this.#stowsOf(child))
    const pid = this.#nursePids.next().value as number
    const nurse = bundle.program(`nurse ${pid}`, failed.instance)
    program.for(`nurse ${pid}`, () => {
      for (const stow of stows) stow.emitForked(program, true)
      const cell = program.spawn(nurse, cloneArgs(this.#planning, { flags: 0, pid, exitSignal: SIGCHLD }), CLONE_ARGS_BYTES)
      this.#nurses.set(program, [...(this.#nurses.get(program) ?? []), cell])
      for (const stow of stows) stow.emitRelease(program)
    })
    for (const stow of stows) stow.emitForked(nurse, false)
    for (const child of children) this.#fork(nurse, child, true)
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
    for (const stow of stows) stow.emitForked(own, false)
    this.#emitMember(own, child)
  }

  #stowsOf(child: Member): Stow[] {
    return [...membersOf(child)].flatMap(({ process }) => (process === undefined ? [] : (this.#planning.stows.get(process) ?? [])))
  }

  /** Nurses have ended. @returns whether there were any, whose ends were signalled */
  emitEnds(program: Program): boolean {
    const nurses = this.#nurses.get(program) ?? []
    for (const pid of nurses) program.call('wait4', [pid, 0, WALL, 0])
    return nurses.length > 0
  }
}
