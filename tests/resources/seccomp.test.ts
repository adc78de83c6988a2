import { expect, test } from 'vitest'
import { actionOf, actionsIn } from '../../dist/core/resources/seccomp/verdict.js'

const ALLOW = 0x7fff_0000
const KILL = 0x8000_0000
const ERRNO = 0x5_0000

/** struct sock_filter: code, where to go on, value. */
function filter(...instructions: readonly (readonly [code: number, jt: number, jf: number, k: number])[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * 8)
  const view = new DataView(bytes.buffer)
  for (const [i, [code, jt, jf, k]] of instructions.entries()) {
    view.setUint16(i * 8, code, true)
    view.setUint8(i * 8 + 2, jt)
    view.setUint8(i * 8 + 3, jf)
    view.setUint32(i * 8 + 4, k, true)
  }
  return bytes
}

const NUMBER = [0x20, 0, 0, 0] as const
const ARCHITECTURE = [0x20, 0, 0, 4] as const
const FIRST_ARGUMENT = [0x20, 0, 0, 16] as const
const returning = (value: number) => [0x06, 0, 0, value] as const

test('a call is judged by its number and the architecture', () => {
  const code = filter(
    ARCHITECTURE,
    [0x15, 1, 0, 0xc000003e],
    returning(KILL),
    NUMBER,
    [0x35, 0, 1, 100],
    returning(ERRNO | 1),
    returning(ALLOW),
  )
  expect(actionOf(code, 99)).toBe(ALLOW)
  expect(actionOf(code, 100)).toBe(ERRNO)
  expect(actionsIn(code)).toEqual([KILL, ERRNO, ALLOW])
})

test('and by its arguments, as they are computed with', () => {
  // Loads, keeps, adds, compares: ((first & 0xf0) >> 4) + 2 === 5.
  const code = filter(
    FIRST_ARGUMENT,
    [0x54, 0, 0, 0xf0],
    [0x74, 0, 0, 4],
    [0x02, 0, 0, 3],
    [0x01, 0, 0, 2],
    [0x60, 0, 0, 3],
    [0x0c, 0, 0, 0],
    [0x15, 0, 1, 5],
    returning(ALLOW),
    returning(KILL),
  )
  expect(actionOf(code, 1, [0x13a])).toBe(ALLOW)
  expect(actionOf(code, 1, [0x14a])).toBe(KILL)
})

test('one that returns what it computed is told apart', () => {
  expect(actionsIn(filter([0x00, 0, 0, ALLOW], [0x16, 0, 0, 0]))).toEqual([undefined])
  expect(actionOf(filter([0x00, 0, 0, ALLOW], [0x16, 0, 0, 0]), 1)).toBe(ALLOW)
})
