/** The image in memory: mirrors thaw.proto with plain types, 64-bit values as bigint. */
import type { DeletedFile } from '../resources/deleted-file.js'
import type { MemoryFile } from '../resources/memory-files.js'
import type { RemovedFolder } from '../resources/removed-folder.js'
import type { SysvQueue } from '../resources/sysv-queue.js'
import type { SysvSemaphores } from '../resources/sysv-semaphores.js'
import type { SysvSegment } from '../resources/sysv-segment.js'

export interface ImageModel {
  formatVersion: number
  machine: Machine
  clocks: Clocks
  processes: ProcessModel[]
  descriptions: DescriptionModel[]
  blobs: Uint8Array[]
  zombies: ZombieModel[]
  sharedMemory: SharedMemoryModel[]
  semaphores: SysvSemaphores[]
  queues: SysvQueue[]
  /** Of the sandbox's own /dev/shm, that folder first; empty where the tree sees the host's. */
  memoryFiles: MemoryFile[]
}

export interface ZombieModel {
  pid: number
  parentPid: number
  groupId: number
  sessionId: number
  name: Uint8Array
  status: number
}

/** `start` of its pages is an offset in the memory. */
export interface SharedMemoryModel {
  id: number
  /** Of whole pages. */
  sizeBytes: bigint
  pages: PageRange[]
  segment: SysvSegment | null
}

export interface Machine {
  kernelRelease: string
  cpuFlags: string
}

/** Nanoseconds, at the moment the tree was read to the end; `taken` by the dumper's CLOCK_MONOTONIC, the others as the tree sees them. */
export interface Clocks {
  monotonic: bigint
  boottime: bigint
  realtime: bigint
  taken: bigint
}

export interface ProcessModel {
  pid: number
  parentPid: number
  groupId: number
  sessionId: number
  threads: ThreadModel[]
  memory: MemoryModel
  descriptors: DescriptorModel[]
  fileSystem: FileSystemModel
  signalActions: SignalAction[]
  pendingSignals: Uint8Array[]
  limits: Limit[]
  intervalTimers: IntervalTimer[]
  posixTimers: PosixTimer[]
  oomScoreAdjustment: number
  personality: number
  subreaper: boolean
  dumpable: number
  /** As PR_GET_THP_DISABLE tells: 0, 1, or more with its flags. */
  thpDisabled: number
  membarrier: number
  coredumpFilter: number
  memoryMerge: boolean
  futureLocks: number
  permittedFeatures: bigint
  stopped: boolean
  stopTold: boolean
}

export interface ThreadModel {
  tid: number
  name: Uint8Array
  registers: bigint[]
  extendedState: Uint8Array
  signalMask: bigint
  signalStack: Uint8Array
  pendingSignals: Uint8Array[]
  clearChildTid: bigint
  robustList: bigint
  robustListBytes: bigint
  rseq: Rseq | null
  scheduling: Scheduling
  credentials: Credentials
  parentDeathSignal: number
  timerSlack: bigint
  machineCheckPolicy: number
  timeStampCounter: number
  ioFlusher: boolean
  timeLimit: TimeLimit | null
  seccomp: SeccompModel | null
}

export interface SeccompModel {
  strict: boolean
  filters: SeccompFilter[]
}

/** The oldest first. */
export interface SeccompFilter {
  program: Uint8Array
  flags: number
}

/** Of a call that a thread goes on with, as it was made: the copy makes it with what is left. */
export interface TimeLimit {
  /** Index into the registers. */
  register: number
  /** Where the register is made to point, at two words; 0: it holds milliseconds. */
  address: bigint
  /** Nanoseconds per unit of the second word: 1 in a timespec, 1000 in a timeval. */
  fraction: number
  /** By the dumper's CLOCK_MONOTONIC. */
  due: bigint
}

export interface Rseq {
  pointer: bigint
  sizeBytes: number
  signature: number
}

export interface Scheduling {
  policy: number
  priority: number
  nice: number
  ioPriority: number
  affinity: Uint8Array
  /** Nanoseconds of a time slice that was asked for; 0: the kernel's own. */
  slice: bigint
}

export interface Credentials {
  uids: number[]
  gids: number[]
  groups: number[]
  inheritable: bigint
  permitted: bigint
  effective: bigint
  bounding: bigint
  ambient: bigint
  securebits: number
  noNewPrivs: boolean
}

export interface SignalAction {
  signal: number
  handler: bigint
  flags: bigint
  restorer: bigint
  mask: bigint
}

export interface Limit {
  resource: number
  soft: bigint
  hard: bigint
}

export interface IntervalTimer {
  which: number
  interval: bigint
  value: bigint
}

export interface PosixTimer {
  id: number
  clock: number
  notify: number
  signal: number
  valuePointer: bigint
  thread: number
  interval: bigint
  value: bigint
  /** Of the delivery before the checkpoint: timer_getoverrun(2). */
  overrun: number
  /** Expirations that the pending signal of an interval timer stands for; 0: none is pending. */
  waiting: bigint
}

export interface FileSystemModel {
  workingDirectory: string
  /** The working directory, when it was removed since. */
  removed: RemovedFolder | null
  root: string
  umask: number
}

export interface MemoryModel {
  mappings: Mapping[]
  pages: PageRange[]
  layout: Layout
  executable: FileIdentity
  auxv: Uint8Array
  guards: PageRange[]
  protectionKeys: number[]
}

export interface Layout {
  startCode: bigint
  endCode: bigint
  startData: bigint
  endData: bigint
  startBrk: bigint
  brk: bigint
  startStack: bigint
  argStart: bigint
  argEnd: bigint
  envStart: bigint
  envEnd: bigint
}

/** Numbers of `MappingKind` in thaw.proto. */
export const MappingKind = {
  anonymous: 0,
  filePrivate: 1,
  fileShared: 2,
  anonymousShared: 3,
  vvar: 4,
  vdso: 5,
  ioUring: 6,
} as const
export type MappingKind = (typeof MappingKind)[keyof typeof MappingKind]

export interface Mapping {
  start: bigint
  end: bigint
  protection: number
  kind: MappingKind
  offset: bigint
  file: FileIdentity | null
  flags: string[]
  name: string
  protectionKey: number
  sharedMemory: number
}

export interface FileIdentity {
  path: string
  device: bigint
  inode: bigint
  sizeBytes: bigint
  modified: bigint
  deleted: boolean
  contentOffset: bigint
  /** Of a deleted file that is mapped shared. */
  content: DeletedFile | null
}

export interface PageRange {
  start: bigint
  pageCount: bigint
  fileOffset: bigint
}

export interface DescriptorModel {
  fd: number
  description: number
  closeOnExec: boolean
}

/** `kind` names one of the kinds in core/resources/kinds.ts, which knows the payload's type. */
export interface DescriptionModel {
  id: number
  flags: number
  ownerType: number
  owner: number
  signal: number
  kind: string
  payload: unknown
}
