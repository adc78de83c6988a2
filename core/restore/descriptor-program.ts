/** Descriptors: every description is opened once, out of the way, then dup3ed to its numbers. */
import type { DescriptionModel } from '../image/model.js'
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import type { Emitter, Placement } from '../resources/description.js'
import { descriptionKinds, kindNamed } from '../resources/kinds.js'
import { remainingOf } from './planning.js'
import type { Planning } from './planning.js'

const O_CLOEXEC = 0o2000000
const O_PATH = 0o10000000
const F_DUPFD_CLOEXEC = 1030
const F_SETFL = 4
const F_SETSIG = 10
const F_SETOWN_EX = 15
/** O_APPEND, O_NONBLOCK, O_DIRECT, O_NOATIME: what F_SETFL sets. Kinds open without waiting, whatever the description is like. */
const SETTABLE_FLAGS = 0o2000 | 0o4000 | 0o40000 | 0o1000000
/** Set through a number of the process's own, which is what its signals then tell (si_fd). */
const O_ASYNC = 0o20000
const CLONE_NEWNS = 0x20000
const CLONE_NEWNET = 0x40000000
/** More descriptions than one tree can have open below its limit are refused at the checkpoint. */
const SCRATCH_DISTANCE = 4096

export class DescriptorEmitter {
  readonly #program: Program
  readonly #planning: Planning
  readonly #emitter: Emitter
  readonly #cells = new Map<number, Cell>()
  readonly #placements: readonly Placement[]

  constructor(program: Program, planning: Planning) {
    this.#program = program
    this.#planning = planning
    this.#placements = planning.image.processes.flatMap(({ descriptors }, processIndex) =>
      descriptors.map(({ fd, description }) => ({ processIndex, fd, descriptionId: description })),
    )
    this.#emitter = this.#makeEmitter()
  }

  #makeEmitter(): Emitter {
    const planning = this.#planning
    const program = this.#program
    const cells = this.#cells
    const shared = new Map<string, unknown>()
    return {
      bundle: planning.bundle,
      program,
      standardStreams: [planning.spawn.stdin, planning.spawn.stdout, planning.spawn.stderr],
      ownNetwork: (planning.options.namespaces & CLONE_NEWNET) !== 0,
      ownMounts: (planning.options.namespaces & CLONE_NEWNS) !== 0,
      clocks: planning.image.clocks,
      pageFile: planning.pageFile,
      remaining: (due) => remainingOf(planning, due),
      // In the middle of the service range, out of reach of what is raised one by one.
      scratch: planning.serviceBase + SCRATCH_DISTANCE,
      raise(fd): Cell {
        const raised = program.call('fcntl', [fd, F_DUPFD_CLOEXEC, planning.serviceBase])
        program.call('close', [fd])
        return raised
      },
      descriptorOf(id): Cell {
        const cell = cells.get(id)
        if (cell === undefined) throw new Error(`description ${id} is not open yet`)
        return cell
      },
      shared<T>(kind: string, key: string | number | bigint, create: () => T): T {
        const name = `${kind} ${key}`
        if (!shared.has(name)) shared.set(name, create())
        return shared.get(name) as T
      },
      blob(key): Uint8Array {
        const blob = planning.image.blobs[key]
        if (blob === undefined) throw new Error(`the image has no blob ${key}`)
        return blob
      },
    }
  }

  open(): void {
    for (const description of this.#planning.image.descriptions)
      this.#for(description, () => {
        const cell = kindNamed(description.kind).open(description.payload, this.#emitter, description.flags)
        this.#cells.set(description.id, cell)
        this.#emitOwnership(description, cell)
      })
    for (const description of this.#byKind())
      this.#for(description, () =>
        kindNamed(description.kind).connect?.(description.payload, this.#emitter, this.#emitter.descriptorOf(description.id)),
      )
    for (const description of this.#planning.image.descriptions)
      if ((description.flags & O_PATH) === 0)
        this.#for(description, () =>
          this.#program.call('fcntl', [this.#emitter.descriptorOf(description.id), F_SETFL, description.flags & SETTABLE_FLAGS]),
        )
  }

  /** In the order of the list of kinds: epoll sets come last, when everything they watch has its numbers. */
  #byKind(): DescriptionModel[] {
    const rank = ({ kind }: DescriptionModel): number => descriptionKinds.findIndex(({ name }) => name === kind)
    return this.#planning.image.descriptions.toSorted((a, b) => rank(a) - rank(b))
  }

  #emitOwnership({ flags, ownerType, owner, signal }: DescriptionModel, cell: Cell): void {
    if ((flags & O_PATH) !== 0) return
    const owned = new Uint8Array(Int32Array.of(ownerType, owner).buffer)
    if (owner !== 0) this.#program.call('fcntl', [cell, F_SETOWN_EX, this.#program.bundle.bytes(owned)])
    if (signal !== 0) this.#program.call('fcntl', [cell, F_SETSIG, signal])
  }

  place(): void {
    const [process] = this.#planning.image.processes
    this.#program.for('descriptors', () => {
      for (const { fd, description, closeOnExec } of process?.descriptors ?? [])
        this.#program.call('dup3', [this.#emitter.descriptorOf(description), fd, closeOnExec ? O_CLOEXEC : 0])
    })
    for (const description of this.#byKind())
      this.#for(description, () =>
        kindNamed(description.kind).place?.(description.payload, this.#emitter, this.#numbersOf(description), this.#placements),
      )
    for (const description of this.#planning.image.descriptions) this.#for(description, () => this.#emitAsync(description))
  }

  #emitAsync(description: DescriptionModel): void {
    const fd = this.#numbersOf(description)[0]?.fd
    if (fd === undefined || (description.flags & O_ASYNC) === 0) return
    this.#program.call('fcntl', [fd, F_SETFL, description.flags & (SETTABLE_FLAGS | O_ASYNC)])
  }

  arm(): void {
    for (const description of this.#planning.image.descriptions)
      this.#for(description, () => kindNamed(description.kind).arm?.(description.payload, this.#emitter, this.#numbersOf(description)))
  }

  #numbersOf({ id }: DescriptionModel): Placement[] {
    return this.#placements.filter(({ descriptionId }) => descriptionId === id)
  }

  #for(description: DescriptionModel, emit: () => void): void {
    const [first] = this.#numbersOf(description)
    this.#program.for(`descriptor ${first?.fd ?? '?'} (${description.kind.replaceAll('_', ' ')})`, emit)
  }
}
