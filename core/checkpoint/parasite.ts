/**
 * The parasite: the interpreter inside the target, in memory that is mapped for it and reached through /proc/PID/mem. It is brought in by
 * injected calls, runs one program and is gone again; if the dumper dies, the way home closes and unmaps what is left of it.
 */
import { readFileSync } from 'node:fs'
import { native, restorerBlobPath } from '../../native/index.js'
import { CheckpointError } from '../errors.js'
import { Bundle } from '../program/bundle.js'
import type { Cell } from '../program/bundle.js'
import { format } from '../program/format.js'
import { describeOperation } from '../program/print.js'
import type { Program } from '../program/program.js'
import { signalWith } from '../program/siginfo.js'
import { requireRestartable } from '../program/waiting.js'
import type { HomeCall, Injection } from './injection.js'
import { ALL_SIGNALS, syscallNumber } from './injection.js'
import { bitOf } from './unheard-signal.js'
import { mapWriteExec } from './write-exec.js'

const PAGE = 4096
const PROT_READ_WRITE_EXEC = 7n
const MAP_PRIVATE_ANONYMOUS = 0x22n
const MAP_FIXED_NOREPLACE = 0x100000n
const STACK_BYTES = 16384
const SIG_SETMASK = 2
const SIGSET_BYTES = 8

export const interpreterCode = (): Uint8Array => {
  const code = readFileSync(restorerBlobPath())
  const padded = new Uint8Array(Math.ceil(code.length / PAGE) * PAGE)
  padded.set(code)
  return padded
}

/** A program compiled for the target, and where to find what it stored. */
export class ParasiteProgram {
  readonly bundle: Bundle
  readonly main: Program
  readonly stackTop: bigint
  readonly #code: Uint8Array
  readonly #region: bigint

  /** @param region address in the target, free for `sizeBytes` once compiled */
  constructor(region: bigint) {
    this.#code = interpreterCode()
    this.#region = region
    this.bundle = new Bundle(region + BigInt(this.#code.length))
    const failed = this.bundle.program('failed')
    this.main = this.bundle.program('parasite', failed)
    this.stackTop = this.bundle.stack(STACK_BYTES)
    this.#failed = failed
  }

  readonly #failed: Program

  /**
   * Closes both programs: tells the tracer, then goes home.
   * @param unheard by which signal. Without, by a call that there is not: a tracer that waits for it is stopped at by every other call, too
   */
  finish(home: bigint, unheard: number | undefined): void {
    this.#unheard = unheard
    requireRestartable(this.bundle)
    for (const program of [this.main, this.#failed]) {
      if (unheard === undefined) program.marker()
      else sendToItself(program, unheard)
      program.leave(home)
    }
  }

  /** Runs it in a task that was made ready for calls. */
  run(injection: Injection): void {
    injection.enter(this.entry, this.bundle.base, BigInt(this.main.index), this.stackTop)
    if (this.#unheard === undefined) injection.untilCall(format.MARKER_SYSCALL)
    else injection.untilSignal(this.#unheard, this.bundle.base)
  }

  #unheard: number | undefined

  get sizeBytes(): number {
    return this.#code.length + this.bundle.encode().length
  }

  encode(): Uint8Array {
    const bundle = this.bundle.encode()
    const bytes = new Uint8Array(this.#code.length + bundle.length)
    bytes.set(this.#code)
    bytes.set(bundle, this.#code.length)
    return bytes
  }

  get entry(): bigint {
    return this.#region
  }
}

/** Sent with the address of the program, by which it is known. */
function sendToItself(program: Program, signal: number): void {
  const { bundle } = program
  const mask = bundle.words(ALL_SIGNALS & ~bitOf(signal))
  program.call('rt_sigprocmask', [SIG_SETMASK, mask, 0, SIGSET_BYTES], 'any')
  const ids = [program.call('getpid', [], 'any'), program.call('gettid', [], 'any')]
  program.call('rt_tgsigqueueinfo', [...ids, signal, bundle.bytes(signalWith(signal, bundle.base))], 'any')
}

/** What the program left behind: read after `runParasite`, before it is closed. */
export interface ParasiteResults {
  bytes(address: bigint, length: number): Uint8Array
  cell(cell: Cell): bigint
}

/** Calls of the way home that undo the set-up. */
export const homeCalls = (region: bigint, sizeBytes: number): HomeCall[] => [[syscallNumber('munmap'), region, BigInt(sizeBytes)]]

/** Brings the parasite in, runs it, and takes it out again. `read` sees the results. @param memFd /proc/PID/mem */
export function runParasite<T>(injection: Injection, program: ParasiteProgram, memFd: number, read: (results: ParasiteResults) => T): T {
  const image = program.encode()
  const region = program.entry
  mapWriteExec(() =>
    injection.must('mmap', region, BigInt(image.length), PROT_READ_WRITE_EXEC, MAP_PRIVATE_ANONYMOUS | MAP_FIXED_NOREPLACE, -1n, 0n),
  )
  try {
    native.writeAt(memFd, region, image)
    program.run(injection)
    throwIfFailed(program, memFd)
    return read({
      bytes: (address, length) => native.readAt(memFd, address, length),
      cell: (cell) => word(native.readAt(memFd, program.bundle.base + BigInt(program.bundle.cellOffset(cell)), 8)),
    })
  } finally {
    injection.call('munmap', region, BigInt(image.length))
  }
}

const word = (bytes: Uint8Array): bigint => new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0, true)

function throwIfFailed(program: ParasiteProgram, memFd: number): void {
  const header = native.readAt(memFd, program.bundle.base, format.SIZEOF_BUNDLE)
  const view = new DataView(header.buffer, header.byteOffset)
  if (view.getUint32(format.OFFSETOF_BUNDLE_FAILED, true) === 0) return
  const index = view.getUint32(format.OFFSETOF_BUNDLE_FAILED_OP, true)
  const result = view.getBigInt64(format.OFFSETOF_BUNDLE_FAILED_RESULT, true)
  const errno = Number(-result)
  const found = program.bundle.operation(index)
  const what = found === undefined ? `operation ${index}` : describeOperation(found.op)
  throw new CheckpointError('THAW_PARASITE', `Cannot checkpoint: ${what} inside the process gave ${native.errnoNames[errno] ?? result}.`, {
    errno,
    ...(found ? { syscall: found.op.name } : {}),
  })
}
