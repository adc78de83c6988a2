/** The template's loop: each request is answered with a fork of its memory, in the pid namespace that came with the request. */
import type { ImageModel } from '../image/model.js'
import type { Cell } from '../program/bundle.js'
import { format } from '../program/format.js'
import type { Program } from '../program/program.js'
import { kindNamed } from '../resources/kinds.js'
import { SPAWN_DESCRIPTORS } from './planning.js'
import type { Planning } from './planning.js'

const CLONE_VM = 0x100
const CLONE_FS = 0x200
const CLONE_FILES = 0x400
const CLONE_CHILD_CLEARTID = 0x20_0000
const CLONE_CHILD_SETTID = 0x100_0000
const CLONE_NEWPID = 0x2000_0000
const SIGCHLD = 17
const WALL = 0x4000_0000
const F_DUPFD_CLOEXEC = 1030
const MSG_PEEK = 2
const MSG_CMSG_CLOEXEC = 0x4000_0000
/** struct clone_args up to set_tid_size (CLONE_ARGS_SIZE_VER1). */
export const CLONE_ARGS_BYTES = 80
const CMSG_HEADER_BYTES = 16
const HELPER_STACK_BYTES = 4096
const ROOT_STACK_BYTES = 16384
/** How a spare ends when the engine has closed its end of the control socket. */
const NOBODY_ASKS = 3
/** What the engine asks for, in the first byte of a message: an instance, with the descriptors for it, or that a spare be ready for the next one. */
export const REQUEST = { spawn: 1, prepare: 2 } as const
export const REQUEST_BYTES = 8
/** failed, failed_op, failed_result, failed_tid: what goes over the status stream. */
export const FAILURE_BYTES = 24

/** Where the failure stands that an instance reports. */
export const failureAddress = (planning: Planning): bigint => planning.bundle.base + BigInt(format.OFFSETOF_BUNDLE_FAILED)

/**
 * The template keeps a spare: a fork of itself, made before it is asked for, that becomes the next root's memory. It makes the next one
 * when the engine says so, which is when the instance runs: while it is being restored, a fork would take the processor from it.
 *
 *   template ──fork──▶ spare: request → pid namespace ──CLONE_VM──▶ helper ──CLONE_VM, set_tid──▶ root
 *
 * The spare and the helper end at once, which leaves the root alone with the memory, as the child of the sandbox's init. The helper stays while there is
 * something that it has to make, with the root's files and folders.
 */
export function emitSpawning(template: Program, programs: { spare: Program; helper: Program; root: Program }, planning: Planning): void {
  emitFailures(planning)
  emitTemplateLoop(template, programs.spare, planning)
  emitSpare(programs.spare, programs.helper, planning)
  const { lostSession } = planning.family
  if (lostSession !== undefined) programs.helper.for('session', () => programs.helper.call('setsid'))
  const stays = helperMakes(planning)
  if (stays) emitNamespaces(programs.helper, planning)
  programs.helper.for('root', () => {
    programs.helper.callInto(planning.helperPid, 'getpid', [])
    const stack = { stack: planning.bundle.stack(ROOT_STACK_BYTES), stackBytes: ROOT_STACK_BYTES }
    const flags = stays ? CLONE_VM | CLONE_FS | CLONE_FILES : CLONE_VM
    programs.helper.spawn(
      programs.root,
      cloneArgs(planning, { flags, pid: planning.root.pid, exitSignal: SIGCHLD, ...stack }),
      CLONE_ARGS_BYTES,
    )
  })
}

/** By the root, unless the helper makes something in them with it: whoever shares a folder with another enters none. */
export function emitNamespaces(program: Program, { options, spawn }: Planning): void {
  if (options.namespaces !== 0) program.for('namespaces', () => program.call('setns', [spawn.init, options.namespaces]))
}

/**
 * Whether the leader that the first process's session has lost is to have made something: nobody but the helper can have its pid. Other sessions and
 * groups are founded when everything is made, by when who had their pids to make something has ended.
 */
export const helperMakes = ({ family, image }: Pick<Planning, 'family' | 'image'>): boolean =>
  family.lostSession !== undefined && makersIn(image).includes(family.lostSession)

/** One spare after the other, until one says that nobody asks any more. */
function emitTemplateLoop(template: Program, spare: Program, planning: Planning): void {
  const status = planning.bundle.allocate(8)
  const loop = template.here
  template.for('spare', () => {
    // The kernel clears this word in the spare's memory when the spare has let go of it (set_tid_address(2)).
    const flags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID
    const child = template.spawn(spare, cloneArgs(planning, { flags, exitSignal: SIGCHLD, childTid: planning.spareTid }), CLONE_ARGS_BYTES)
    template.call('wait4', [child, status, WALL, 0])
    const asked = template.jump(0, 'not-equal', template.load(status, 4), NOBODY_ASKS << 8)
    const end = template.here
    template.call('exit_group', [0])
    asked.target = template.here
    const byte = planning.bundle.allocate(8)
    template.jump(end, 'equal', 0, template.call('recvfrom', [planning.control, byte, 1, MSG_PEEK, 0, 0]))
    // A request is left to the spare.
    template.jump(loop, 'not-equal', template.load(byte, 1), REQUEST.prepare)
    template.call('recvfrom', [planning.control, byte, 1, 0, 0, 0])
    template.jump(loop)
  })
}

function emitSpare(spare: Program, helper: Program, planning: Planning): void {
  const { bundle, spawn, options } = planning
  const message = new Message(spare)
  planning.shared.emitAhead(spare, planning)
  spare.for('request', () => {
    const again = spare.here
    const more = spare.jump(0, 'less', 0, message.receive(planning.control))
    spare.call('exit_group', [NOBODY_ASKS])
    more.target = spare.here
    spare.jump(again, 'equal', message.kind(), REQUEST.prepare)
    SPAWN_DESCRIPTORS.forEach((name, i) => raise(spare, spawn[name], message.descriptor(i), planning.serviceBase))
    if (planning.remover !== undefined) raise(spare, planning.remover, message.descriptor(SPAWN_DESCRIPTORS.length), planning.serviceBase)
  })
  spare.for('spawn', () => {
    const isNew = options.pidNamespace === 'new'
    if (isNew) spare.call('setns', [spawn.init, CLONE_NEWPID])
    const stack = { stack: bundle.stack(HELPER_STACK_BYTES), stackBytes: HELPER_STACK_BYTES }
    const child = spare.spawn(helper, cloneArgs(planning, { flags: CLONE_VM, ...helperPid(planning), ...stack }), CLONE_ARGS_BYTES)
    spare.call('wait4', [child, 0, WALL, 0])
    spare.call('exit_group', [0])
  })
}

function emitFailures(planning: Planning): void {
  const { failed, spawn, report } = planning
  for (const [program, stream] of [
    [failed.instance, spawn.status],
    [failed.template, report],
  ] as const) {
    program.call('write', [stream, failureAddress(planning), FAILURE_BYTES], 'any')
    // It may wait for the root.
    if (program === failed.instance && helperMakes(planning)) program.add(planning.helperTurn, 1)
    program.call('exit_group', [1], 'any')
  }
}

/** The helper's pid must not stand in the way of one that the image needs; 1 is the sandbox's init. Where a session has lost its leader, it is the helper. */
function helperPid({ image, family, options }: Planning): { pid?: number } {
  if (family.lostSession !== undefined) return { pid: family.lostSession }
  return options.pidNamespace === 'new' ? { pid: unusedPid(image) } : {}
}

const unusedPid = (image: ImageModel): number => unusedPids(image).next().value as number

/** Pids that nothing of the image has, not even for a moment. */
export function* unusedPids(image: ImageModel): Generator<number> {
  const used = new Set([
    ...makersIn(image),
    ...image.processes.flatMap(({ pid, groupId, sessionId, threads }) => [pid, groupId, sessionId, ...threads.map(({ tid }) => tid)]),
    ...image.zombies.flatMap(({ pid, groupId, sessionId }) => [pid, groupId, sessionId]),
  ])
  for (let pid = 2; ; pid++) if (!used.has(pid)) yield pid
}

/** Pids that processes have for a moment, to make something (passing-process.ts). */
const makersIn = ({ descriptions, sharedMemory }: ImageModel): number[] => [
  ...descriptions.flatMap(({ kind, payload }) => kindNamed(kind).pids?.(payload) ?? []),
  ...sharedMemory.flatMap(({ segment }) => segment?.creator ?? []),
]

export interface CloneArguments {
  readonly flags: number
  /** Left to the kernel where it is left out. */
  readonly pid?: number
  readonly exitSignal?: number
  readonly childTid?: bigint
  /** Top of the child's stack. */
  readonly stack?: bigint
  readonly stackBytes?: number
  readonly tls?: bigint
}

/** struct clone_args (linux/sched.h), with the pid in the innermost namespace. */
export function cloneArgs(
  { bundle }: Pick<Planning, 'bundle'>,
  { flags, pid, exitSignal = 0, childTid = 0n, stack = 0n, stackBytes = 0, tls = 0n }: CloneArguments,
): bigint {
  const setTid = pid === undefined ? 0n : bundle.bytes(new Uint8Array(Int32Array.of(pid).buffer))
  const bottom = stack === 0n ? 0n : stack - BigInt(stackBytes)
  return bundle.words(flags, 0, childTid, 0, exitSignal, bottom, stackBytes, tls, setTid, pid === undefined ? 0 : 1)
}

function raise(program: Program, to: Cell, low: Cell, base: number): void {
  program.callInto(to, 'fcntl', [low, F_DUPFD_CLOEXEC, base])
  program.call('close', [low])
}

/** A struct msghdr with room for one request and its descriptors, and one more. */
class Message {
  readonly #program: Program
  readonly #header: bigint
  readonly #bytes: bigint
  readonly #controlBuffer: bigint
  readonly #controlBytes: number

  constructor(program: Program) {
    const { bundle } = program
    this.#program = program
    this.#controlBytes = CMSG_HEADER_BYTES + (SPAWN_DESCRIPTORS.length + 1) * 4
    this.#controlBuffer = bundle.allocate(this.#controlBytes)
    this.#bytes = bundle.allocate(REQUEST_BYTES)
    const vector = bundle.words(this.#bytes, REQUEST_BYTES)
    this.#header = bundle.words(0, 0, vector, 1, this.#controlBuffer, this.#controlBytes, 0)
  }

  /** Bytes received: none at the end of the engine. The kernel changes the control length, so it is set each time. */
  receive(socket: Cell): Cell {
    this.#program.store(this.#header + 40n, this.#controlBytes, 8)
    return this.#program.call('recvmsg', [socket, this.#header, MSG_CMSG_CLOEXEC], 'any')
  }

  kind(): Cell {
    return this.#program.load(this.#bytes, 1)
  }

  descriptor(i: number): Cell {
    return this.#program.load(this.#controlBuffer + BigInt(CMSG_HEADER_BYTES + i * 4), 4)
  }
}
