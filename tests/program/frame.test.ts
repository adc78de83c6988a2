import { expect, test } from 'vitest'
import { native } from '../../dist/native/index.js'
import { extendedFrame, extendedFrameBytes, ucontext, UCONTEXT_BYTES } from '../../dist/core/program/frame.js'
import { Target } from '../native/harness.ts'

const [FP_XSTATE_MAGIC1, FP_XSTATE_MAGIC2] = [0x46505853, 0x46505845]
const [SW_RESERVED, HEADER] = [464, 512]
const SS_DISABLE = 2

const words = [15, 14, 13, 12, 18, 19, 11, 10, 9, 8, 21, 22, 20, 17, 16, 0, 24, 0x33, 25, 23, 0x2b, 0, 0, 0, 0, 0, 0]
/** Named r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags, they are 8 to 25. */
const registers = BigUint64Array.from(words, BigInt)

test('struct ucontext, field by field', () => {
  const signalStack = Uint8Array.from({ length: 24 }, (_, i) => 100 + i)
  const bytes = Buffer.from(ucontext({ registers, signalMask: 0x8000_0000_0000_0001n, signalStack }, 0x7000n))
  expect(bytes).toHaveLength(UCONTEXT_BYTES)
  // UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS; no link to a further context.
  expect([bytes.readBigUInt64LE(0), bytes.readBigUInt64LE(8)]).toEqual([7n, 0n])
  expect(bytes.subarray(16, 40)).toEqual(Buffer.from(signalStack))
  const general = Array.from({ length: 18 }, (_, i) => Number(bytes.readBigUInt64LE(40 + i * 8)))
  expect(general).toEqual([8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25])
  expect([184, 186, 188, 190].map((at) => bytes.readUInt16LE(at))).toEqual([0x33, 0, 0, 0x2b])
  expect(bytes.readBigUInt64LE(224)).toBe(0x7000n)
  expect(bytes.readBigUInt64LE(296)).toBe(0x8000_0000_0000_0001n)
})

test('without an alternate stack it is disabled, without an extended state none is read', () => {
  const bytes = Buffer.from(ucontext({ registers, signalMask: 0n }, 0n))
  expect(bytes.readBigUInt64LE(0)).toBe(6n)
  expect(bytes.readUInt32LE(24)).toBe(SS_DISABLE)
  expect(bytes.readBigUInt64LE(224)).toBe(0n)
})

test("a real process's extended state becomes a frame that says how large it is", () => {
  using target = new Target()
  target.freeze()
  const state = native.getExtendedState(target.pid)
  native.detach(target.pid)
  const before = Buffer.from(state)
  const frame = Buffer.from(extendedFrame(state))
  expect(frame).toHaveLength(extendedFrameBytes(state))
  expect(frame.length % 64).toBe(0)
  expect(frame.readUInt32LE(SW_RESERVED)).toBe(FP_XSTATE_MAGIC1)
  expect(frame.readUInt32LE(SW_RESERVED + 4)).toBe(state.length + 4)
  // The enabled features, which include at least those in use; x87 and SSE always are.
  const features = frame.readBigUInt64LE(SW_RESERVED + 8)
  expect(features & 3n).toBe(3n)
  expect(frame.readBigUInt64LE(HEADER) & ~features).toBe(0n)
  expect(frame.readUInt32LE(SW_RESERVED + 16)).toBe(state.length)
  expect(frame.readUInt32LE(state.length)).toBe(FP_XSTATE_MAGIC2)
  expect(frame.subarray(0, SW_RESERVED)).toEqual(before.subarray(0, SW_RESERVED))
  expect(frame.subarray(HEADER, state.length)).toEqual(before.subarray(HEADER))
  expect(Buffer.from(state)).toEqual(before)
})

test.each([
  [572, 576],
  [573, 640],
  [576, 640],
])('a state of %i bytes takes %i with its mark', (size, bytes) => {
  expect(extendedFrameBytes(new Uint8Array(size))).toBe(bytes)
})
