/**
 * The extended state of a thread: vector registers and what else XSAVE knows, in the standard format of NT_X86_XSTATE. AMX tiles are
 * the one part that a thread only has once it has used it: 8 KiB for which the kernel makes room at the first instruction that touches them
 * (Documentation/arch/x86/xstate.rst). A frame that is larger than what the thread has room for is taken without all that is newer than SSE.
 */
import { native } from '../../native/index.js'

export const TILE_DATA_BIT = 18
/** Its bit in XCR0 and in XSTATE_BV. */
export const TILE_DATA: bigint = 1n << BigInt(TILE_DATA_BIT)
const XSTATE_BV = 512

/** As the kernel gives it, cut behind what the thread can have in use. */
export function readExtendedState(tid: number): Uint8Array {
  const state = native.getExtendedState(tid)
  const tiles = native.tileDataOffset()
  return tiles === 0 || tiles >= state.length || hasTiles(state) ? state : state.slice(0, tiles)
}

/** Whether AMX tiles hold anything. */
export function hasTiles(state: Uint8Array): boolean {
  return state.length >= XSTATE_BV + 8 && (new DataView(state.buffer, state.byteOffset).getBigUint64(XSTATE_BV, true) & TILE_DATA) !== 0n
}
