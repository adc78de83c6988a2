/**
 * Signal frames: what rt_sigreturn brings a task back from (struct rt_sigframe, struct ucontext in asm/ucontext.h and
 * struct sigcontext in asm/sigcontext.h). Used to leave the restorer, and as the way home that heals an abandoned parasite.
 */
import { get, reg } from './registers.js'
import { hasTiles, TILE_DATA } from './extended-state.js'
import type { RegisterName } from './registers.js'

const UC_FP_XSTATE = 1n
const UC_SIGCONTEXT_SS = 2n
const UC_STRICT_RESTORE_SS = 4n
const FP_XSTATE_MAGIC1 = 0x46505853
const FP_XSTATE_MAGIC2 = 0x46505845
/** Bytes of struct ucontext; the frame's return address stands right before it. */
export const UCONTEXT_BYTES = 304
const SW_RESERVED = 464
const SS_DISABLE = 2

/** Order of the general registers in struct sigcontext. */
const order: readonly RegisterName[] = [
  'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15', 'rdi', 'rsi', 'rbp', 'rbx', 'rdx', 'rax', 'rcx', 'rsp', 'rip', 'eflags',
] // prettier-ignore

const REGISTERS = 40

/** Where a struct ucontext holds a general register, by its index into struct user_regs_struct. */
export const registerOffset = (register: number): number => REGISTERS + order.findIndex((name) => reg[name] === register) * 8

export const isInFrame = (register: number): boolean => order.some((name) => reg[name] === register)

export interface FrameState {
  readonly registers: BigUint64Array
  readonly signalMask: bigint
  /** stack_t; left out, the frame disables the alternate stack. */
  readonly signalStack?: Uint8Array
  /** NT_X86_XSTATE, standard format; left out, the extended state is reset. */
  readonly extendedState?: Uint8Array
}

/** Bytes that `extendedFrame` takes for a state of this size: the state, its closing magic, alignment. */
export const extendedFrameBytes = (state: Uint8Array): number => Math.ceil((state.length + 4) / 64) * 64

/** The state as it stands in a frame: what NT_X86_XSTATE gives, with the marks that make the kernel read all of it. */
export function extendedFrame(state: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(extendedFrameBytes(state))
  bytes.set(state)
  const view = new DataView(bytes.buffer)
  // ptrace puts the enabled features (XCR0) where a frame has its software-reserved bytes: arch/x86/kernel/fpu/regset.c.
  const features = view.getBigUint64(SW_RESERVED, true) & (hasTiles(state) ? ~0n : ~TILE_DATA)
  view.setUint32(SW_RESERVED, FP_XSTATE_MAGIC1, true)
  view.setUint32(SW_RESERVED + 4, state.length + 4, true)
  view.setBigUint64(SW_RESERVED + 8, features, true)
  view.setUint32(SW_RESERVED + 16, state.length, true)
  bytes.fill(0, SW_RESERVED + 20, 512)
  view.setUint32(state.length, FP_XSTATE_MAGIC2, true)
  return bytes
}

/** A struct ucontext. @param extendedAddress where `extendedFrame` stands, 64-byte aligned; 0n without. */
export function ucontext(state: FrameState, extendedAddress: bigint): Uint8Array {
  const bytes = new Uint8Array(UCONTEXT_BYTES)
  const view = new DataView(bytes.buffer)
  const flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS | (extendedAddress === 0n ? 0n : UC_FP_XSTATE)
  view.setBigUint64(0, flags, true)
  if (state.signalStack === undefined) view.setUint32(24, SS_DISABLE, true)
  else bytes.set(state.signalStack.subarray(0, 24), 16)
  order.forEach((name, i) => view.setBigUint64(REGISTERS + i * 8, get(state.registers, name), true))
  view.setUint16(184, Number(get(state.registers, 'cs')), true)
  view.setUint16(190, Number(get(state.registers, 'ss')), true)
  view.setBigUint64(224, extendedAddress, true)
  view.setBigUint64(296, state.signalMask, true)
  return bytes
}
