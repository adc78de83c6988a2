/**
 * The addon: mechanisms of the kernel that Node has no call for, and nothing that decides.
 *
 * Every function is synchronous and throws a {@link SystemError} when the kernel refuses, a TypeError (`ERR_INVALID_ARG_TYPE`) for a
 * wrong argument. Interrupted calls are repeated. Ptrace belongs to a thread:
 * all calls that name a traced task must come from the thread that called `seize` for it.
 *
 * Descriptors that are returned are close-on-exec and belong to the caller, who closes them with `node:fs`.
 */
import { createRequire } from 'node:module'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** What a refused system call throws. `errno` is positive, `code` its symbolic name (`EPERM`). */
export interface SystemError extends Error {
  readonly code: string
  readonly errno: number
  readonly syscall: string
  readonly pid?: number
  readonly path?: string
}

/** What `callRemote`, `runUntilSyscall` and `runUntilSignal` throw for a task that reported something else than the stop it was sent to. */
export interface UnexpectedStopError extends Error {
  readonly code: 'ERR_UNEXPECTED_STOP'
  readonly pid: number
  readonly status: WaitStatus
}

/** What `wait` saw. For `stopped`, `event` is the PTRACE_EVENT number (0 if none) and `signal` has bit 0x80 set at syscall stops. */
export type WaitStatus =
  | { readonly kind: 'stopped'; readonly signal: number; readonly event: number }
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'killed'; readonly signal: number }

/** PTRACE_GET_RSEQ_CONFIGURATION (since 5.13); `pointer` is 0n where the thread has not registered. */
export interface RseqConfiguration {
  readonly pointer: bigint
  readonly sizeBytes: number
  readonly signature: number
  readonly flags: number
}

/** Which pages PAGEMAP_SCAN returns, masks of PAGE_IS_* bits as in linux/fs.h (struct pm_scan_arg). */
export interface PagemapQuery {
  readonly inverted: bigint
  readonly required: bigint
  readonly anyOf: bigint
  readonly returned: bigint
}

/** A message with descriptors, as read by `receiveMessage`. An empty `bytes` without descriptors is end of file. */
export interface Message {
  readonly bytes: Uint8Array
  readonly descriptors: readonly number[]
  /** Raw sockaddr of who sent it; empty where the message has none. */
  readonly sender: Uint8Array
  /** struct ucred, by the namespaces of this process; empty where the socket does not ask for it (SO_PASSCRED). */
  readonly credentials: Uint8Array
}

/** Memory that is being read, by `startReading`. */
export interface Reading {
  readonly reading: unique symbol
}

/** A TCP connection as repair mode shows it. A FIN takes one sequence number. */
export interface TcpState {
  /** Of the byte that would be written, and received, next. */
  readonly sendSequence: number
  readonly receiveSequence: number
  /** The clock of its timestamps, as TCP_TIMESTAMP sets it. */
  readonly timestamp: number
  /** The largest segment that was agreed on. */
  readonly largestSegment: number
  /** struct tcp_repair_window (linux/tcp.h). */
  readonly window: Uint8Array
  /** What the peer has not acknowledged, sent or not. */
  readonly sent: Uint8Array
  /** What was not read. */
  readonly received: Uint8Array
}

export interface FileStatus {
  readonly device: bigint
  readonly inode: bigint
  readonly mode: number
  readonly rdev: bigint
  readonly links: number
  readonly sizeBytes: bigint
  readonly uid: number
  readonly gid: number
}

export interface Native {
  /** Constants of restorer/program.h: names without THAW_ to numbers (`OP_SYSCALL`, `OFFSETOF_OP_NR`, …). */
  readonly format: Readonly<Record<string, number>>
  /** System call numbers of this architecture by name without prefix (`openat`: 257), from the compiler's headers, with the newer ones added. */
  readonly syscalls: Readonly<Record<string, number>>
  /** Names of errno values, the kernel's internal ones too: `errnoNames[13]` is `EACCES`, `errnoNames[512]` is `ERESTARTSYS`. */
  readonly errnoNames: Readonly<Record<number, string>>

  // --- ptrace ------------------------------------------------------------------------------------------------------
  /** PTRACE_SEIZE with PTRACE_O_TRACESYSGOOD. The task runs on until `interrupt`. */
  seize(tid: number): void
  /** The same of a thread of a process of which others are seized already, and which may be killing them (execve(2)). */
  seizeAnother(pid: number, tid: number): void
  /** PTRACE_INTERRUPT. */
  interrupt(tid: number): void
  /** waitpid(tid, __WALL). With `nohang` null when there is nothing to report. */
  wait(tid: number, nohang?: boolean): WaitStatus | null
  /** PTRACE_CONT. */
  resume(tid: number, signal?: number): void
  /** PTRACE_LISTEN: keeps a group stop. */
  listen(tid: number): void
  /** PTRACE_DETACH. */
  detach(tid: number, signal?: number): void
  /** The 27 words of struct user_regs_struct (PTRACE_GETREGS). */
  getRegisters(tid: number): BigUint64Array
  setRegisters(tid: number, registers: BigUint64Array): void
  /** NT_X86_XSTATE in the standard format, as large as the kernel gives it. */
  getExtendedState(tid: number): Uint8Array
  setExtendedState(tid: number, state: Uint8Array): void
  /** Where AMX tiles stand in the standard format: behind all that every thread has (CPUID leaf 0xD). 0 on a CPU without them. */
  tileDataOffset(): number
  /** PTRACE_GETSIGMASK, bit n-1 for signal n. */
  getSignalMask(tid: number): bigint
  setSignalMask(tid: number, mask: bigint): void
  /** PTRACE_GETSIGINFO: the 128 bytes of the siginfo the stop came with; at a stop without one, null (EINVAL; a seized task has no such stop). */
  getSignalInfo(tid: number): Uint8Array | null
  /** PTRACE_PEEKSIGINFO: all queued siginfo records of 128 bytes in order, of the thread or of the process. */
  peekSignals(tid: number, queue: 'thread' | 'process'): Uint8Array[]
  getRseq(tid: number): RseqConfiguration
  /**
   * Makes a stopped task perform one system call: sets the registers (rip at a `syscall` instruction), goes on to the
   * entry stop and on to the exit stop (PTRACE_SYSCALL twice) and returns rax, negative errno included. Leaves the task in the exit
   * stop with the registers of the call. Throws {@link UnexpectedStopError} when it stops for anything else: its signals should be masked. SIGSTOP, which cannot be,
   * takes effect at `detach`.
   */
  callRemote(tid: number, registers: BigUint64Array): bigint
  /**
   * Goes on with PTRACE_SYSCALL until the task is about to make system call `number`, skips that call, and leaves the task in its exit
   * stop. Returns how many calls it finished on the way. Throws {@link UnexpectedStopError} when it stops for a signal or dies.
   */
  runUntilSyscall(tid: number, number: number): number
  /**
   * Goes on with PTRACE_CONT until `signal` is about to be delivered, and leaves the task there; the next resume drops the signal. Throws
   * {@link UnexpectedStopError} when it stops for another signal or dies; SIGSTOP takes effect at `detach`.
   */
  runUntilSignal(tid: number, signal: number): void
  /** PTRACE_SINGLESTEP: one instruction, or none where a signal came first; tells which stop it was. */
  step(tid: number): WaitStatus

  // --- memory and pages of another process ---------------------------------------------------------------------------
  /** pread64 of all `length` bytes at a 64-bit offset (for /proc/PID/mem); throws EIO when short. */
  readAt(fd: number, address: bigint, length: number): Uint8Array
  writeAt(fd: number, address: bigint, bytes: Uint8Array): void
  /** ioctl(PAGEMAP_SCAN) over [start, end), repeated until done. Triples start, end, categories; ranges that touch differ in categories. Since Linux 6.7. */
  scanPagemap(fd: number, start: bigint, end: bigint, query: PagemapQuery): BigUint64Array
  /** memfd_create(2); MFD_CLOEXEC is added. */
  memfdCreate(name: string, flags: number): number
  /** Copies `length` bytes between files inside the kernel (copy_file_range, else sendfile). Positions stay. Throws EIO when the source is shorter. */
  copyRange(fromFd: number, fromOffset: bigint, toFd: number, toOffset: bigint, length: bigint): void
  /**
   * A shared mapping of a file in this process, the file made at least this large and every page of it present (fallocate, MAP_POPULATE):
   * what is copied to it later allocates nothing. Returns the address; ends with `unmapReserved`.
   */
  mapReserved(fd: number, lengthBytes: bigint): bigint
  unmapReserved(address: bigint, lengthBytes: bigint): void
  /**
   * process_vm_readv on a thread beside this one: copies memory of another process to `address` of this one, which must stay until
   * `finishReading`. `ranges` are triples: start there, length in bytes, offset from `address`.
   */
  startReading(pid: number, ranges: BigUint64Array, address: bigint): Reading
  /** Helps, and waits for the end. Throws EFAULT for memory that the process may not read itself. */
  finishReading(reading: Reading): void

  // --- processes and descriptors ---------------------------------------------------------------------------------------
  pidfdOpen(pid: number): number
  /** pidfd_getfd: a duplicate of another process's descriptor. */
  pidfdGetfd(pidfd: number, fd: number): number
  pidfdSendSignal(pidfd: number, signal: number): void
  kill(pid: number, signal: number): void
  /** kcmp(2): 0 equal, 1 less, 2 greater, 3 unordered. `type` as in linux/kcmp.h. */
  kcmp(pidA: number, pidB: number, type: number, indexA: number, indexB: number): number
  /** fstat and statx of a descriptor or path, with 64-bit fields. `follow` false is lstat. */
  statPath(path: string, follow?: boolean): FileStatus
  statFd(fd: number): FileStatus
  /** open(2) with raw flags (Node's own refuses some). */
  open(path: string, flags: number, mode?: number): number
  /** fcntl(2) with an integer argument. */
  fcntl(fd: number, command: number, argument?: number): number
  /** fcntl(2) with a buffer argument, changed in place (F_GETLK, F_GETOWN_EX …). A buffer too short for the command gets what fits. */
  fcntlBuffer(fd: number, command: number, argument: Uint8Array): number
  /** ioctl(2) with a buffer argument, changed in place. A buffer too short for the request gets what fits. */
  ioctl(fd: number, request: number, argument: Uint8Array): number
  /** pipe2(2): the reading end first. */
  pipe(flags: number): readonly [number, number]
  /** tee(2): returns the bytes duplicated, without consuming. */
  tee(fromFd: number, toFd: number, length: number, flags: number): number
  /** read(2) once, at most `length`; null at EAGAIN. */
  read(fd: number, length: number): Uint8Array | null
  /** poll(2) of one descriptor: the events that came (POLLIN, POLLHUP …), 0 when `timeoutMs` have passed; -1 waits for ever. */
  poll(fd: number, events: number, timeoutMs: number): number
  eventfd(initial: number, flags: number): number
  /** Raw sched/ioprio/prlimit readings of another task, in one go: see `TaskReadings`. */
  readTask(tid: number): TaskReadings
  /** get_robust_list(2) of another task. */
  getRobustList(tid: number): { readonly head: bigint; readonly length: bigint }
  /** clock_gettime: nanoseconds. */
  clockGettime(clock: number): bigint

  // --- sockets -------------------------------------------------------------------------------------------------------------
  socket(domain: number, type: number, protocol: number): number
  socketpair(domain: number, type: number, protocol: number): readonly [number, number]
  /** socket(2) made by a helper thread that entered the network namespace of `nsFd` first. */
  socketInNamespace(nsFd: number, domain: number, type: number, protocol: number): number
  /** Raw sockaddr bytes in and out. */
  connectSocket(fd: number, address: Uint8Array): void
  bindSocket(fd: number, address: Uint8Array): void
  listenSocket(fd: number, backlog: number): void
  getsockname(fd: number): Uint8Array
  /** Null when not connected (ENOTCONN). */
  getpeername(fd: number): Uint8Array | null
  getsockopt(fd: number, level: number, option: number, length: number): Uint8Array
  setsockopt(fd: number, level: number, option: number, value: Uint8Array): void
  /**
   * What only repair mode tells of a TCP connection, which is left as it was, even if this process is killed meanwhile. For one that nobody
   * uses at the time, but for what is on its way to it: throws EAGAIN where that does not come to an end, EPERM without CAP_NET_ADMIN over its network namespace.
   */
  readTcpState(fd: number): TcpState
  /** sendmsg with SCM_RIGHTS; at most 253 descriptors. They stay open here. */
  sendMessage(socketFd: number, bytes: Uint8Array, descriptors: readonly number[], flags?: number): void
  /** recvmsg; blocking unless MSG_DONTWAIT is in `flags` (then null at EAGAIN). Throws EMSGSIZE when the message was cut off. */
  receiveMessage(socketFd: number, maxBytes: number, maxDescriptors: number, flags?: number): Message | null

  /**
   * A look (MSG_PEEK, MSG_DONTWAIT) at the message that begins `offset` bytes from the start of a queue, or at what a stream has from there on; `undefined` is the start, for
   * sockets that have no such offset (SO_PEEK_OFF). With `credentials` also those that it came with, and a look at a stream ends where they change.
   * The socket's own settings are as before, even if this process is killed meanwhile. Null where there is nothing; throws EMSGSIZE as `receiveMessage`.
   */
  peekMessage(socketFd: number, offset: number | undefined, maxBytes: number, maxDescriptors: number, credentials: boolean): Message | null
  /** Of the pieces of a unix stream, sent with the same credentials, that make up `length` bytes at `offset`: the bytes before the last piece. */
  bytesBeforeLastPiece(socketFd: number, offset: number, length: number): number

  // --- processes of our own ----------------------------------------------------------------------------------------------
  /**
   * posix_spawn-like start of a helper program without Node's child machinery: `descriptors[i]` becomes descriptor i of the child, all
   * others are closed, signals are reset, the child is not waited for by libuv. `file` is a path (no search), `args` follow it, the environment is
   * this process's. Throws `execve` errors with `path`. Returns its pid and a pidfd; the caller must `reap` it.
   */
  spawnProcess(file: string, args: readonly string[], descriptors: readonly number[]): { readonly pid: number; readonly pidfd: number }
  /** waitpid without hanging on a child of `spawnProcess`; null while it lives, ECHILD when it was reaped before. */
  reap(pid: number): WaitStatus | null
  /** execve(2) in place of this process, with its environment and standard streams. Returns only by throwing. */
  execute(file: string, args: readonly string[]): never

  // --- the rest ------------------------------------------------------------------------------------------------------------
  /** Any system call by name, for those with a single caller. An array is passed as its address and may be written to: it must be large enough. */
  syscall(name: string, args: readonly (number | bigint | Uint8Array)[]): bigint
  /** The same, made by a helper thread that entered the namespace of `nsFd` first (any but user, mount and time namespaces). */
  syscallInNamespace(nsFd: number, name: string, args: readonly (number | bigint | Uint8Array)[]): bigint
}

export interface TaskReadings {
  /** sched_getscheduler, with SCHED_RESET_ON_FORK still in it; sched_getparam. */
  readonly policy: number
  readonly priority: number
  /** getpriority(PRIO_PROCESS). */
  readonly nice: number
  /** ioprio_get. */
  readonly ioPriority: number
  /** sched_getaffinity, as the mask's bytes. */
  readonly affinity: Uint8Array
}

const require = createRequire(import.meta.url)

function artifact(name: string): string {
  // From the build in a checkout, from prebuilds/ in an installed package; both two levels above dist/native/.
  const candidates = [`../../build/Release/${name}`, `../../prebuilds/linux-x64/${name}`]
  for (const candidate of candidates) {
    const path = fileURLToPath(new URL(candidate, import.meta.url))
    if (existsSync(path)) return path
  }
  throw new Error(`${name} is neither in build/Release nor in prebuilds/linux-x64: run \`npm run build\``)
}

/** Path of the flat interpreter, entry at offset 0 (restorer/). */
export const restorerBlobPath = (): string => artifact('thaw-restorer.bin')
/** Path of the init program (native/init/). */
export const initProgramPath = (): string => artifact('thaw-init')

export const native: Native = require(artifact('thaw.node')) as Native
