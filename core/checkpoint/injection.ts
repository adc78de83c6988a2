/**
 * Making a seized task perform calls that are not its own, in a way that heals itself.
 *
 * A chain of signal frames is laid where nothing lives (the far end of a stack). The task is pointed at its own libc's
 * `syscall; ret` with the stack pointer at the first frame's return address, the signal-return stub. While the tracer lives, it catches the task at
 * the exit of the call and gives it the next one. If the tracer dies at any instruction, the task returns through the chain:
 *
 *   call → stub → frame: unmap the parasite → stub → frame: its own registers
 *
 * No byte of text is changed, and nothing near a stack pointer is touched.
 */
import { native } from '../../native/index.js'
import { CheckpointError } from '../errors.js'
import { readExtendedState } from '../program/extended-state.js'
import { extendedFrame, extendedFrameBytes, ucontext, UCONTEXT_BYTES } from '../program/frame.js'
import { get, restartable, withRegisters } from '../program/registers.js'
import { isSignalWith } from '../program/siginfo.js'
import type { Gadgets } from './gadgets.js'
import { isBeingStopped, stopOf, stopped } from './stop.js'

export const ALL_SIGNALS = 0xffff_ffff_ffff_ffffn
const FRAME_BYTES = 1024n
const RETURN_ADDRESS_BYTES = 8n
const DIRECTION_FLAG = 0x400n

/** Where nothing lives in the target, and the file to write there. */
export interface Scratch {
  readonly memFd: number
  readonly start: bigint
  readonly lengthBytes: number
  /** Of it, at its start, what only signal handlers write to. */
  readonly roomBytes: number
  /** What stands behind that, to be put back. */
  readonly before: Uint8Array
  /** Whether a task may go home through it yet. */
  inUse?: boolean
}

/** A call that the chain makes on the way home: number and arguments. */
export type HomeCall = readonly [number: number, ...args: bigint[]]

export interface ThreadState {
  readonly tid: number
  /** As it was frozen; what it is given back. */
  readonly registers: BigUint64Array
  readonly extendedState: Uint8Array
  readonly signalMask: bigint
  /** What its process was stopped by when it was frozen: SIGTRAP when it ran. */
  readonly stop: number
}

export function readThread(tid: number, stop: number): ThreadState {
  return {
    tid,
    stop,
    registers: native.getRegisters(tid),
    extendedState: readExtendedState(tid),
    signalMask: native.getSignalMask(tid),
  }
}

/**
 * Below the chain, where its stack pointer leads: a signal that comes when the tracer has just died is handled there. Never touched
 * otherwise, and not there where no signal is handled.
 */
const SIGNAL_ROOM_BYTES = 16384
const MOST_FRAMES = 2
const FRAMES_BYTES = Number(FRAME_BYTES) * MOST_FRAMES

/** Bytes of scratch that signal handlers need. @param caught a mask of the signals that are handled */
export const roomBytes = (caught: bigint): number => (caught === 0n ? 0 : SIGNAL_ROOM_BYTES)

/** Bytes of scratch that an injection with this extended state needs behind that: frames, and the state. */
export const chainBytes = (extendedState: Uint8Array): number => FRAMES_BYTES + extendedFrameBytes(extendedState)

/** Leaves nothing of an injection, unless its task could not be brought back and has to go home by itself. */
export function wipe({ memFd, start, roomBytes: room, before, inUse }: Scratch): void {
  if (inUse !== true) native.writeAt(memFd, start + BigInt(room), before)
}

/** One task under injection. Begin with `begin`, end with `end`; in between `call`, and `enter` with one of the two ways to wait for what it runs. */
export class Injection {
  readonly #state: ThreadState
  readonly #gadgets: Gadgets
  readonly #scratch: Scratch

  constructor(state: ThreadState, gadgets: Gadgets, scratch: Scratch) {
    this.#state = state
    this.#gadgets = gadgets
    this.#scratch = scratch
  }

  /** Address of the first frame's ucontext once `begin` has laid the chain: for code that must know its way home beforehand. */
  get home(): bigint {
    return this.#scratch.start + BigInt(this.#scratch.roomBytes) + RETURN_ADDRESS_BYTES
  }

  /** Lays the chain and blocks all signals. `homeCalls` are made by the chain, in order. */
  begin(homeCalls: readonly HomeCall[] = []): void {
    const first = this.home - RETURN_ADDRESS_BYTES
    const frames = homeCalls.length + 1
    if (frames > MOST_FRAMES) throw new Error('more calls than there is room for on the way home')
    const at = (i: number): bigint => first + BigInt(i) * FRAME_BYTES
    const extended = at(MOST_FRAMES)
    native.writeAt(this.#scratch.memFd, extended, extendedFrame(this.#state.extendedState))
    for (let i = 0; i < frames; i++) {
      const call = homeCalls[i]
      const registers = call === undefined ? restartable(this.#state.registers, 'none') : this.#callRegisters(call, at(i + 1))
      const frame =
        call === undefined
          ? ucontext({ registers, signalMask: this.#state.signalMask }, extended)
          : ucontext({ registers, signalMask: ALL_SIGNALS }, 0n)
      this.#writeFrame(at(i), this.#keepSignalStack(frame))
    }
    this.#scratch.inUse = true
    // In this order: the way home sets the mask, too. A task left with its own registers and all signals blocked would keep them so.
    this.#pointHome()
    native.setSignalMask(this.#state.tid, ALL_SIGNALS)
  }

  /** Whatever happens to the tracer, the task goes home from here. */
  #pointHome(): void {
    native.setRegisters(this.#state.tid, this.#callRegisters([syscallNumber('getpid')], this.home - RETURN_ADDRESS_BYTES))
  }

  /**
   * rt_sigreturn sets the alternate stack from the frame. What the thread has is not known from outside; a stack of an invalid
   * flag makes the kernel refuse that part (EINVAL, which it ignores) and leave the setting as it is.
   */
  #keepSignalStack(frame: Uint8Array): Uint8Array {
    new DataView(frame.buffer).setUint32(24, 0x7f, true)
    return frame
  }

  #writeFrame(at: bigint, frame: Uint8Array): void {
    const bytes = new Uint8Array(8 + UCONTEXT_BYTES + 128)
    new DataView(bytes.buffer).setBigUint64(0, this.#gadgets.sigreturn, true)
    bytes.set(frame, 8)
    native.writeAt(this.#scratch.memFd, at, bytes)
  }

  #callRegisters([number, ...args]: HomeCall, returnTo: bigint): BigUint64Array {
    const [rdi = 0n, rsi = 0n, rdx = 0n, r10 = 0n, r8 = 0n, r9 = 0n] = args
    return withRegisters(this.#state.registers, {
      rax: number,
      rdi,
      rsi,
      rdx,
      r10,
      r8,
      r9,
      rip: this.#gadgets.syscall,
      rsp: returnTo,
      origRax: -1n,
    })
  }

  /** Performs one system call in the task; returns its result, -errno included. */
  call(name: string, ...args: bigint[]): bigint {
    return BigInt.asIntN(
      64,
      native.callRemote(this.#state.tid, this.#callRegisters([syscallNumber(name), ...args], this.home - RETURN_ADDRESS_BYTES)),
    )
  }

  /** Like `call`, but an error of the kernel is thrown. */
  must(name: string, ...args: bigint[]): bigint {
    const result = this.call(name, ...args)
    if (result < 0n && result >= -4095n) {
      const errno = Number(-result)
      const code = native.errnoNames[errno] ?? String(errno)
      throw new CheckpointError('THAW_INJECTION', `Cannot checkpoint: thread ${this.#state.tid} cannot perform ${name} (${code}).`, {
        pid: this.#state.tid,
        syscall: name,
        errno,
      })
    }
    return result
  }

  /** Points the task at code, which `untilCall` or `untilSignal` then has it run. @param entry where; rdi and rsi are its arguments */
  enter(entry: bigint, rdi: bigint, rsi: bigint, rsp: bigint): void {
    // The direction flag may be set where the task was frozen; code expects it clear.
    const eflags = get(this.#state.registers, 'eflags') & ~DIRECTION_FLAG
    const registers = withRegisters(this.#state.registers, { rip: entry, rdi, rsi, rsp, eflags, origRax: -1n })
    native.setRegisters(this.#state.tid, registers)
  }

  /** Until the task is about to make this call, which it does not make. It stops at each call before. */
  untilCall(number: number): void {
    native.runUntilSyscall(this.#state.tid, number)
  }

  /**
   * Until the task has unblocked this signal and sent it to itself with this value. It does not stop before, nor hear of it. Another one that came
   * first goes on waiting.
   */
  untilSignal(signal: number, value: bigint): void {
    const { tid, stop } = this.#state
    native.runUntilSignal(tid, signal)
    const info = native.getSignalInfo(tid)
    // On the way home all are blocked, as from the start.
    this.#pointHome()
    native.setSignalMask(tid, ALL_SIGNALS)
    if (info !== null && isSignalWith(info, value)) return
    // What is blocked when it is to be delivered is queued again (ptrace_signal() in kernel/signal.c).
    native.interrupt(tid)
    native.resume(tid, signal)
    if (!stopped(tid, stop)) throw diedMeanwhile(tid)
  }

  /**
   * Gives the task back what it had. It must stand in a stop on its way back to user space: only there does the kernel itself restart the call it
   * was interrupted in, with a signal that came meanwhile taken into account. Job control that came meanwhile makes it a stop of another kind, which
   * is as good a place, but not what it was frozen in.
   */
  end(): void {
    const { tid, registers, signalMask, stop } = this.#state
    this.#pointHome()
    native.interrupt(tid)
    native.resume(tid)
    const now = stopOf(tid)
    if (now === undefined) throw diedMeanwhile(tid)
    native.setSignalMask(tid, signalMask)
    native.setRegisters(tid, registers)
    if (get(native.getRegisters(tid), 'rip') !== get(registers, 'rip')) throw new Error('registers did not take')
    this.#scratch.inUse = false
    if (now !== stop) throw isBeingStopped(tid)
  }
}

const diedMeanwhile = (tid: number): CheckpointError =>
  new CheckpointError('THAW_PROCESS_DIED', `Thread ${tid} was killed during the checkpoint.`, { pid: tid })

export function syscallNumber(name: string): number {
  const number = native.syscalls[name]
  if (number === undefined) throw new Error(`no system call is named ${name}`)
  return number
}
