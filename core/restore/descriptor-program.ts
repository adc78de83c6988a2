/** Descriptors: every description is opened once, out of the way, then dup3ed to its numbers. */
import type { DescriptionModel } from '../image/model.js'
import type { Program } from '../program/program.js'
import type { Emitter } from '../resources/description.js'
import { turnsOfLateSets } from '../resources/epoll.js'
import { kindNamed } from '../resources/kinds.js'
import { emitOwner } from '../resources/owner.js'
import { Emitters } from './emitters.js'
import { HandOver } from './hand-over.js'
import type { Receiver } from './hand-over.js'
import { Leads } from './leads.js'
import { byKind, Placements } from './placements.js'
import type { Planning } from './planning.js'

const O_CLOEXEC = 0o2000000
const O_PATH = 0o10000000
const F_DUPFD_CLOEXEC = 1030
const F_SETFL = 4
/** O_APPEND, O_NONBLOCK, O_DIRECT, O_NOATIME: what F_SETFL sets. Kinds open without waiting, whatever the description is like. */
const SETTABLE_FLAGS = 0o2000 | 0o4000 | 0o40000 | 0o1000000

/**
 * Descriptions belong to the tree, numbers to a process. The first process opens everything and is forked with it; each process then puts
 * what is its own at its numbers. What must be done once for a description is done by its home: the first process that has it.
 */
export class Descriptors {
  readonly #planning: Planning
  readonly #emitters: Emitters
  readonly #placements: Placements
  readonly #turns: ReadonlyMap<number, number>
  readonly #leads: Leads
  readonly #handOver: HandOver

  constructor(planning: Planning) {
    this.#planning = planning
    this.#emitters = new Emitters(planning)
    this.#turns = turnsOfLateSets(planning.image.descriptions)
    this.#leads = new Leads(planning.image)
    for (const id of this.#leads.ids) this.#emitters.opened.set(id, planning.bundle.cell(`lead ${id}`))
    this.#placements = new Placements(planning.image)
    this.#handOver = new HandOver(planning, this.#leads.ids.size === 0 ? [] : this.#receivers())
  }

  /** Who, beside the first process, has what leads to tasks, or places something by it. */
  #receivers(): Receiver[] {
    return this.#planning.image.processes.flatMap(({ descriptors }, processIndex) => {
      const atHome = this.#placements.ofProcess(processIndex).filter((description) => this.#isHome(description, processIndex))
      const needed = atHome.flatMap(({ kind, payload }) => kindNamed(kind).needs?.(payload) ?? [])
      const ids = new Set([...descriptors.map(({ description }) => description), ...needed].filter((id) => this.#leads.ids.has(id)))
      const cells = [...ids].flatMap((id) => this.#emitters.opened.get(id) ?? [])
      return processIndex === 0 || cells.length === 0 ? [] : [{ processIndex, cells }]
    })
  }

  /** Which tasks must be there before the rest of the descriptors is opened, if there is a rest. */
  get leadTo(): Leads['to'] {
    return this.#leads.to
  }

  /** What the kinds of descriptions emit with in the program of a process. */
  emitter(program: Program, processIndex: number): Emitter {
    return this.#emitters.of(program, processIndex)
  }

  /** In the first process, before it forks: all that processes can inherit. */
  open(program: Program): void {
    const { descriptions } = this.#planning.image
    const early = descriptions.filter((description) => kindNamed(description.kind).ofMemory !== true && !this.#leads.opens(description))
    this.#open(program, 0, early)
    this.#connect(
      program,
      0,
      early.filter((description) => !this.#leads.connects(description)),
    )
    this.#setFlags(program, 0, early)
    this.#handOver.emitSockets(program)
  }

  /** In the first process, when all are there: what must be opened, or filled, only now; the others are given what is theirs. */
  openLeads(program: Program): void {
    this.#emitters.allThere = true
    const { descriptions } = this.#planning.image
    const leads = descriptions.filter((description) => this.#leads.opens(description))
    this.#open(program, 0, leads)
    this.#connect(
      program,
      0,
      descriptions.filter((description) => this.#leads.connects(description)),
    )
    this.#setFlags(program, 0, leads)
    program.for('descriptors', () => this.#handOver.emitHands(program))
  }

  /** In each other process. */
  takeLeads(program: Program, processIndex: number): void {
    program.for('descriptors', () => this.#handOver.emitTakes(program, processIndex))
  }

  #open(program: Program, processIndex: number, descriptions: readonly DescriptionModel[]): void {
    const emitter = this.emitter(program, processIndex)
    for (const description of descriptions)
      this.#for(program, description, () => {
        const opened = kindNamed(description.kind).open(description.payload, emitter, description.flags)
        const known = this.#emitters.opened.get(description.id)
        if (known === undefined) this.#emitters.opened.set(description.id, opened)
        else program.callInto(known, 'fcntl', [opened, F_DUPFD_CLOEXEC, this.#planning.serviceBase])
      })
  }

  #connect(program: Program, processIndex: number, descriptions: readonly DescriptionModel[]): void {
    const emitter = this.emitter(program, processIndex)
    for (const description of byKind(descriptions))
      this.#for(program, description, () =>
        kindNamed(description.kind).connect?.(description.payload, emitter, emitter.descriptorOf(description.id)),
      )
  }

  #setFlags(program: Program, processIndex: number, descriptions: readonly DescriptionModel[]): void {
    const emitter = this.emitter(program, processIndex)
    for (const description of descriptions)
      if ((description.flags & O_PATH) === 0)
        this.#for(program, description, () =>
          program.call('fcntl', [emitter.descriptorOf(description.id), F_SETFL, description.flags & SETTABLE_FLAGS]),
        )
  }

  /** In each process, once its memory is there. */
  place(program: Program, processIndex: number): void {
    const ofMemory = this.#placements
      .ofProcess(processIndex)
      .filter((description) => kindNamed(description.kind).ofMemory === true && this.#isHome(description, processIndex))
    this.#open(program, processIndex, ofMemory)
    this.#connect(program, processIndex, ofMemory)
    this.#setFlags(program, processIndex, ofMemory)
    this.#place(program, processIndex, false)
  }

  /** In each process, when it has been given what leads to tasks. */
  placeLeads(program: Program, processIndex: number): void {
    this.#place(program, processIndex, true)
  }

  #place(program: Program, processIndex: number, lead: boolean): void {
    const emitter = this.emitter(program, processIndex)
    program.for('descriptors', () => {
      for (const { fd, description, closeOnExec } of this.#planning.image.processes[processIndex]?.descriptors ?? [])
        if (this.#leads.ids.has(description) === lead)
          program.call('dup3', [emitter.descriptorOf(description), fd, closeOnExec ? O_CLOEXEC : 0])
    })
    for (const description of this.#placements.ofProcess(processIndex)) {
      if (this.#leads.places(description) !== lead) continue
      const kind = kindNamed(description.kind)
      const numbers = this.#placements.numbersIn(description, processIndex)
      this.#for(program, description, () => {
        if (numbers.length > 0) kind.placeEach?.(description.payload, emitter, numbers)
        if (!this.#isHome(description, processIndex)) return
        const self = emitter.descriptorOf(description.id)
        kind.place?.(description.payload, emitter, numbers, this.#placements.all, self)
        if (!this.#turns.has(description.id)) kind.watch?.(description.payload, emitter, numbers, this.#placements.all, self)
      })
    }
  }

  /** How many turns there are of sets that only watch once everything else is as it was. */
  get lateTurns(): number {
    return Math.max(-1, ...this.#turns.values()) + 1
  }

  hasLate(processIndex: number): boolean {
    return this.#placements
      .ofProcess(processIndex)
      .some((description) => this.#turns.has(description.id) && this.#isHome(description, processIndex))
  }

  /** In each process, turn by turn, when timers are armed and signals pend in all of them. */
  watchLate(program: Program, processIndex: number, turn: number): void {
    const emitter = this.emitter(program, processIndex)
    for (const description of this.#placements.ofProcess(processIndex)) {
      if (this.#turns.get(description.id) !== turn || !this.#isHome(description, processIndex)) continue
      const numbers = this.#placements.numbersIn(description, processIndex)
      this.#for(program, description, () => {
        const self = emitter.descriptorOf(description.id)
        kindNamed(description.kind).watch?.(description.payload, emitter, numbers, this.#placements.all, self)
      })
    }
  }

  /** In each process, behind the gate, when all processes are there. */
  arm(program: Program, processIndex: number): void {
    const emitter = this.emitter(program, processIndex)
    const pid = this.#planning.image.processes[processIndex]?.pid ?? 0
    for (const description of this.#placements.ofProcess(processIndex)) {
      const isHome = this.#isHome(description, processIndex)
      const numbers = this.#placements.numbersIn(description, processIndex)
      const kind = kindNamed(description.kind)
      // Of what belongs to the memory of another process there is nothing here.
      if (!isHome && kind.armEach === undefined) continue
      this.#for(program, description, () => {
        const self = emitter.descriptorOf(description.id)
        if (isHome) emitOwner(program, description, numbers[0]?.fd ?? self, SETTABLE_FLAGS)
        if (isHome) kind.arm?.(description.payload, emitter, numbers, self)
        kind.armEach?.(description.payload, emitter, numbers, { pid, isHome }, self)
      })
    }
  }

  #isHome(description: DescriptionModel, processIndex: number): boolean {
    return this.#placements.homeOf(description) === processIndex
  }

  #for(program: Program, description: DescriptionModel, emit: () => void): void {
    const number = this.#placements.firstNumber(description)
    const home = this.#planning.image.processes[this.#placements.homeOf(description)]
    program.for(`descriptor ${number ?? '?'} of pid ${home?.pid ?? '?'} (${description.kind.replaceAll('_', ' ')})`, emit)
  }
}
