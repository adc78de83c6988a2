/**
 * Open file descriptions: what every kind of them implements. One kind is one file; adding a kind is adding a file here, a
 * message in core/image/thaw.proto whose field in `Description.kind` has the kind's name, and a line in kinds.ts.
 *
 * Order of the calls, per checkpoint and per restore:
 *
 *   recognises → collect            twice: once on the running tree, so that what is not carried is refused before the freeze; once frozen
 *   open → connect → place → watch → arm    emitted once per image, run per instance: see `DescriptionKind`
 *
 * What leads to processes (`leadsTo`) is opened, connected and placed when all of them are there, right before the gate; or, where it takes
 * all threads, behind it, right before `arm`.
 */
import type { FileStatus } from '../../native/index.js'
import type { ParasiteResults } from '../checkpoint/parasite.js'
import type { Clocks, DescriptionModel, ImageModel } from '../image/model.js'
import type { MappingLine } from '../proc/maps.js'
import type { FdInfo } from '../proc/fdinfo.js'
import type { Bundle, Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import type { KeptContent } from './kept-content.js'
import type { Exclusion } from './exclusion.js'
import type { Support } from './support.js'
import type { SysvKind } from './sysv/table.js'

/** A process while it is looked at, running or frozen. */
export interface SeenProcess {
  /** As the dumper sees it. */
  readonly pid: number
  /** As the process itself sees it: innermost pid namespace. */
  readonly innerPid: number
  readonly name: string
  /** Prefix under which paths that /proc prints for the process lead to its files: empty in the same mount namespace, else like `/proc/7/root`. */
  readonly rootPath: string
  readonly pidfd: number
  /** As the dumper sees it; 0 for a root of the tree. */
  readonly parentPid: number
  /** For what is in flight: the process that it is sent to. `pid` and numbers are the dumper's then. */
  readonly receiver?: SeenProcess
}

/** The process whose namespaces and working directory a description is seen in. */
export const homeOf = ({ process }: SeenDescription): SeenProcess => process.receiver ?? process

/** The message that a description in flight was seen in. */
export interface Flight {
  /** The socket that it waits in. */
  readonly queue: SeenDescription
  /** Bytes before the message in that queue. */
  readonly offset: number
  /** Which one it is of those that the message brings along, and how many they are. */
  readonly index: number
  readonly count: number
  /** All of these are sockets. */
  readonly onlySockets: boolean
}

/** One open file description, seen through one descriptor that refers to it. */
export interface SeenDescription {
  readonly id: number
  readonly process: SeenProcess
  readonly fd: number
  /** Target of /proc/PID/fd/FD: a path, `pipe:[7]`, `socket:[8]`, `anon_inode:[eventfd]`. */
  readonly link: string
  readonly status: FileStatus
  readonly info: FdInfo
  /** For one that is open nowhere but in flight. */
  readonly flight?: Flight
  /** A duplicate in this process (pidfd_getfd): same description, so anything done to it is seen by the target. Closed at the end by the collector. */
  duplicate(): number
}

/** One descriptor of a description. */
export interface Holder {
  readonly process: SeenProcess
  readonly info: FdInfo
}

/** Adds questions to a parasite's program; what is returned passes the answers on. */
export type AskInside = (program: Program) => (results: ParasiteResults) => void

/** What a kind may ask about the whole tree while it collects. */
export interface SeenTree {
  readonly processes: readonly SeenProcess[]
  /** The init of the sandbox, where the tree is all that is below it: orphans of the tree are its children. */
  readonly init?: number | undefined
  readonly descriptions: readonly SeenDescription[]
  /** All descriptions of the same file, pipe or socket. */
  ofFile(status: Pick<FileStatus, 'device' | 'inode'>): readonly SeenDescription[]
  /** Every descriptor that refers to the description, with what fdinfo says there: of POSIX locks it tells each process its own. */
  holdersOf(seen: SeenDescription): readonly Holder[]
  /** The description that descriptor `fd` of `process` refers to. */
  descriptionOf(process: SeenProcess, fd: number): SeenDescription | undefined
  /**
   * The description that a descriptor of the dumper's own refers to, which it was sent as a copy of one in flight. The tree gets to know
   * it if it is open nowhere else. Takes the descriptor.
   */
  inFlight(fd: number, flight: Flight): SeenDescription
  readonly options: { readonly tcp: 'refuse' | 'close' }
  /** Whether the tree stands still. While it does not, only refusals are looked for: data may still change. */
  readonly frozen: boolean
  /** The mappings of a process, read once. */
  mappingsOf(process: SeenProcess): readonly MappingLine[]
  /** CLOCK_MONOTONIC of the dumper. A timer is kept as the moment it is due: `now()` plus what was left of it when it was read. */
  now(): bigint
  /** Puts bytes of any size beside the metadata and returns the key that `Emitter.blob` knows them by. */
  addBlob(bytes: Uint8Array): number
  /** Puts part of a file behind the pages in the page file. */
  keepContent(content: KeptContent): void
  /** Has a process itself ask what it alone can tell, such as pids by its own pid namespace. Answers come before the thaw; `last` for what would change other answers. */
  askInside(process: SeenProcess, ask: AskInside, order?: 'last'): void
  /** Has something done when all processes were asked, still before the thaw: what would change answers of any of them. */
  afterwards(act: () => void): void
}

/** What a kind may use while it emits. All operations go into the program of the process that opens the tree's descriptions. */
export interface Emitter {
  readonly bundle: Bundle
  readonly program: Program
  /** Of the process whose program that is. */
  readonly processIndex: number
  /** A number of no process, below all that is raised, and free whenever a kind emits: for a descriptor that must have a known number for a moment. */
  readonly scratch: number
  /** Moves a new descriptor out of the way of the tree's own numbers (F_DUPFD_CLOEXEC to the service range, close of the old one). */
  raise(fd: Cell): Cell
  /** The raised descriptor of an opened description. Throws for one that is not open yet. */
  descriptorOf(descriptionId: number): Cell
  /** What the image has of a description. */
  describe(descriptionId: number): DescriptionModel
  /** State shared by several descriptions of one kind (both ends of a pipe), created on first use. */
  shared<T>(kind: string, key: string | number | bigint, create: () => T): T
  /**
   * Emits operations that a process with this pid performs: the root itself, or one that ends at once. They share memory, descriptors and the
   * working directory, but not credentials.
   */
  asProcess(pid: number, build: (program: Program) => void): void
  /** Emits a process that ends as `build` has it end; whoever asks for it reaps it (wait4 with __WALL) in `connect`, before the forks. */
  passing(build: (program: Program) => void): Cell
  /** To be told of each System V object right after it was made: it outlives who made it. */
  made(kind: SysvKind, id: number): void
  /** The bytes that `addBlob` kept. */
  blob(key: number): Uint8Array
  /** Where `SeenTree.keepContent` put parts of files. */
  readonly pageFile: Cell
  /** Raised descriptors of the streams that the restore was given as standard input, output and error. */
  readonly standardStreams: readonly [Cell, Cell, Cell]
  /** The clocks from which the tree goes on. */
  readonly clocks: Clocks
  /** True when the instance gets a network namespace of its own. */
  readonly ownNetwork: boolean
  /** True when the instance gets a mount namespace of its own. */
  readonly ownMounts: boolean
}

/** The process that a kind emits for. */
export interface Armed {
  /** Of the image. */
  readonly pid: number
  /** The first that has numbers for the description; where none has, the first of the tree. */
  readonly isHome: boolean
}

/** A descriptor number in a process of the image. */
export interface Placement {
  readonly processIndex: number
  readonly fd: number
  readonly descriptionId: number
}

export interface DescriptionKind<P> {
  /** Name of the field in the image's `Description.kind`. */
  readonly name: string
  /** What README says of it. */
  readonly support: Support
  recognises(seen: SeenDescription, tree: SeenTree): boolean
  /** Reads the state without changing it, from outside. Throws UnsupportedError (naming pid, command, descriptor, what it is and what to do) for state that is not carried. */
  collect(seen: SeenDescription, tree: SeenTree): P
  /** Tells what in an image contradicts the payload, in words that go on `description 7 …`: `is connected to one that is not there`. @param pageBytes size of the page file */
  verify?(payload: P, image: ImageModel, require: (fits: boolean, otherwise: string) => void, pageBytes: bigint): void
  /** How far it keeps other instances of the image away. Default: `none`. */
  exclusion?(payload: P, image: Pick<ImageModel, 'memoryFiles'>): Exclusion
  /** Emits what opens it; returns the cell that holds the descriptor, already raised. Status flags that fcntl(F_SETFL) can set, owner and signal are set by the caller afterwards. */
  open(payload: P, emitter: Emitter, flags: number): Cell
  /** Pids that processes have for a moment which the kind is made by (`Emitter.asProcess`). */
  pids?(payload: P): number[]
  /** Numbers that descriptors of other descriptions have for a moment while it is made: closed ones, which the tree has no other use for. */
  numbers?(payload: P): number[]
  /** Emits what must wait until all descriptions of the tree are open (registrations in epoll sets, descriptors in flight). */
  connect?(payload: P, emitter: Emitter, self: Cell): void
  /** Set where locks on it are carried. */
  readonly carriesLocks?: true
  /**
   * Set for what belongs to the memory of a process: it is opened by its home, the first process that has it, instead of by the first
   * process of the tree, and no other process has it.
   */
  readonly ofMemory?: true
  /** Of what it leads to, all must be there before it can be opened. The first process then hands it to the others. */
  leadsTo?(payload: P): 'processes' | 'threads' | undefined
  /** Whether it is connected and placed only then, too, although it is opened before. @param ids of the descriptions that lead to tasks, at least one */
  awaits?(payload: P, ids: ReadonlySet<number>): boolean
  /** Ids of what its home must have at hand to `place` it, whether it has numbers for that or not. */
  needs?(payload: P): number[]
  /** Emits, for each process that has numbers for it, what must be done in that process once it has them. */
  placeEach?(payload: P, emitter: Emitter, placements: readonly Placement[]): void
  /** Emits what must wait until its home has its numbers (`placements`: those of the home that refer to this description). */
  place?(payload: P, emitter: Emitter, placements: readonly Placement[], all: readonly Placement[], self: Cell): void
  /** Like `place`, right after it; for late sets (`turnsOfLateSets`) behind the gate, once all timers are armed and all signals pend. */
  watch?(payload: P, emitter: Emitter, placements: readonly Placement[], all: readonly Placement[], self: Cell): void
  /**
   * Emits what must wait until the gate has opened and the clocks run (timers). Runs in its home, by its own numbers; what is only in flight
   * has none, but `self` is still there.
   */
  arm?(payload: P, emitter: Emitter, placements: readonly Placement[], self: Cell): void
  /** Pids of the processes, beside those that have numbers for it, in which `armEach` has something to do. */
  armingPids?(payload: P): readonly number[]
  /** The same in every process that has numbers for it, and in those of `armingPids`; `self` is there in all of them. */
  armEach?(payload: P, emitter: Emitter, placements: readonly Placement[], process: Armed, self: Cell): void
}

/** Forgets the payload's type, so that kinds of different payloads fit one list. */
export function defineKind<P>(kind: DescriptionKind<P>): DescriptionKind<unknown> {
  return kind as unknown as DescriptionKind<unknown>
}
