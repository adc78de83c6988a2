/** Contents of files that only an image has. */

import { expect, test } from 'vitest'
import { Bundle } from '../../dist/core/program/bundle.js'
import { emitKept } from '../../dist/core/resources/kept-content.js'

const GIGABYTE = 1n << 30n

/** How much each call of what is emitted carries. */
function pieces(sizeBytes: bigint): unknown[] {
  const program = new Bundle(0x1000n).program('test')
  const cell = program.bundle.cell('descriptor')
  emitKept(program, cell, cell, 4096n, sizeBytes)
  return program.ops.map(({ name, args, expect: expected }) => ({ name, length: args[3], expected }))
}

test('no call carries more than it can', () => {
  const call = (length: bigint) => ({ name: 'sendfile', length, expected: { equal: length } })
  expect(pieces(0n)).toEqual([])
  expect(pieces(7n)).toEqual([call(7n)])
  expect(pieces(GIGABYTE)).toEqual([call(GIGABYTE)])
  expect(pieces(2n * GIGABYTE + 1n)).toEqual([call(GIGABYTE), call(GIGABYTE), call(1n)])
})
