/** What the emitters of one plan share. */
import type { ImageModel, ProcessModel } from '../image/model.js'
import type { Bundle, Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import type { Family } from './family.js'
import type { Inheritance } from './inheritance.js'
import type { Own } from './own.js'
import type { SharedPage } from './shared-page.js'
import type { Stow } from './stow.js'
import type { Vdso } from './vdso-move.js'

export interface PlanOptions {
  /** CLONE_NEW* of the namespaces that an instance enters beside pid and time. */
  readonly namespaces: number
  /** Whether its pids are those of a namespace of its own, with an init of ours as pid 1, or of the namespace of this process. */
  readonly pidNamespace: 'new' | 'current'
  /** What a process of ours starts with. */
  readonly own: Own
}

/** Descriptors that come with each request to spawn, in this order. */
export const SPAWN_DESCRIPTORS = ['init', 'time', 'gate', 'status', 'stdin', 'stdout', 'stderr'] as const
export type SpawnDescriptors = Readonly<Record<(typeof SPAWN_DESCRIPTORS)[number], Cell>>

export interface Planning {
  readonly image: ImageModel
  readonly options: PlanOptions
  readonly bundle: Bundle
  /** The first process, which opens the tree's descriptions and forks the others. */
  readonly root: ProcessModel
  readonly family: Family
  readonly inheritance: Inheritance
  readonly stows: ReadonlyMap<ProcessModel, Stow>
  readonly shared: SharedPage
  /** First descriptor number that no process of the tree uses: for a descriptor that must have a known number for a moment. */
  readonly scratch: number
  /** The number behind it: ours, and what is raised out of the tree's way, stand from here on, as many as there may be. */
  readonly serviceBase: number
  /** The region of the interpreter, and of what stands in the template out of the way: everything else is unmapped. */
  readonly region: { readonly start: bigint; readonly end: bigint }
  readonly vdso: Vdso
  readonly spawn: SpawnDescriptors
  /** Of whoever removes what outlives a restore that comes to nothing, where there is such: it comes behind the others. */
  readonly remover: Cell | undefined
  /** Raised descriptor of the page file in the template. */
  readonly pageFile: Cell
  /** Raised descriptors of the socket that requests come over, and of the pipe that the template tells its state over. */
  readonly control: Cell
  readonly report: Cell
  /** Of who forks the first process, and then ends. */
  readonly helperPid: Cell
  readonly helper: Program
  /** A 32-bit word: 1 while the helper makes something for the root, or is to end, as that has failed. */
  readonly helperTurn: bigint
  /** A 32-bit word that is zero once the spare, whose memory a root has, is gone. */
  readonly spareTid: bigint
  /** Writes the failure to the status stream, or the control socket in the template, and exits. */
  readonly failed: { readonly instance: Program; readonly template: Program }
}
