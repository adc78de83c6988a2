/** What the kinds of descriptions emit with, in the program of each process. */
import { contradiction } from '../image/contradiction.js'
import type { DescriptionModel } from '../image/model.js'
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import type { Emitter } from '../resources/description.js'
import { emitAsProcess, emitPassing } from './passing-process.js'
import type { Planning } from './planning.js'
import { emitMade } from './remover.js'
import { unusedPids } from './spawning.js'

const F_DUPFD_CLOEXEC = 1030
const CLONE_NEWNS = 0x20000
const CLONE_NEWNET = 0x40000000

export class Emitters {
  /** The raised descriptors of descriptions, by their ids, as they are opened. */
  readonly opened: Map<number, Cell> = new Map()
  /** Set once every process of the tree has been forked. */
  allThere: boolean = false
  readonly #planning: Planning
  readonly #shared = new Map<string, unknown>()
  readonly #emitters = new Map<number, Emitter>()
  readonly #passingPids: Iterator<number>
  readonly #descriptions: ReadonlyMap<number, DescriptionModel>

  constructor(planning: Planning) {
    this.#planning = planning
    this.#descriptions = new Map(planning.image.descriptions.map((description) => [description.id, description]))
    this.#passingPids = unusedPids(planning.image)
    // The first is the helper's, which may still be there; the nurses, who have the next, come later.
    this.#passingPids.next()
  }

  /** One for each process; made things are shared with who else emits into it. */
  of(program: Program, processIndex: number): Emitter {
    const emitter = this.#emitters.get(processIndex) ?? this.#makeEmitter(program, processIndex)
    this.#emitters.set(processIndex, emitter)
    return emitter
  }

  #makeEmitter(program: Program, processIndex: number): Emitter {
    const planning = this.#planning
    const { opened } = this
    const shared = this.#shared
    return {
      bundle: planning.bundle,
      program,
      processIndex,
      standardStreams: [planning.spawn.stdin, planning.spawn.stdout, planning.spawn.stderr],
      ownNetwork: (planning.options.namespaces & CLONE_NEWNET) !== 0,
      ownMounts: (planning.options.namespaces & CLONE_NEWNS) !== 0,
      clocks: planning.image.clocks,
      pageFile: planning.pageFile,
      scratch: planning.scratch,
      made: (kind, id) => emitMade(program, planning, kind, id),
      raise(fd): Cell {
        const raised = program.call('fcntl', [fd, F_DUPFD_CLOEXEC, planning.serviceBase])
        program.call('close', [fd])
        return raised
      },
      descriptorOf(id): Cell {
        const cell = opened.get(id)
        if (cell === undefined) throw contradiction(`description ${id}, which another refers to, is not there`)
        return cell
      },
      describe: (id): DescriptionModel => {
        const description = this.#descriptions.get(id)
        if (description === undefined) throw new Error(`the image has no description ${id}`)
        return description
      },
      shared<T>(kind: string, key: string | number | bigint, create: () => T): T {
        const name = `${kind} ${key}`
        if (!shared.has(name)) shared.set(name, create())
        return shared.get(name) as T
      },
      // Nobody else can have the pid of one that is there, but who may choose pids may speak in its name (unix(7)).
      asProcess: (pid, build) => (this.allThere ? build(program) : emitAsProcess(program, planning, pid, build)),
      passing: (build) => {
        const pid = planning.options.pidNamespace === 'new' ? (this.#passingPids.next().value as number) : undefined
        return emitPassing(program, planning, pid, build)
      },
      blob(key): Uint8Array {
        const blob = planning.image.blobs[key]
        if (blob === undefined) throw contradiction(`blob ${key} is not there`)
        return blob
      },
    }
  }
}
