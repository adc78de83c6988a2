/** Typed access to the constants of restorer/program.h, which the addon was compiled with. */
import { native } from '../../native/index.js'

const names = [
  'MAGIC',
  'VERSION',
  'MARKER_SYSCALL',
  'NO_CELL',
  'NO_PROGRAM',
  'OP_SYSCALL',
  'OP_SPAWN',
  'OP_LOAD',
  'OP_STORE',
  'OP_COPY',
  'OP_ADD',
  'OP_WAIT',
  'OP_JUMP',
  'OP_LEAVE',
  'OP_SUM',
  'OP_XRSTOR',
  'OP_PRODUCT',
  'OP_QUOTIENT',
  'EXPECT_ANY',
  'EXPECT_OK',
  'EXPECT_EQUAL',
  'EXPECT_OK_OR',
  'COMPARE_ALWAYS',
  'COMPARE_EQUAL',
  'COMPARE_NOT_EQUAL',
  'COMPARE_LESS',
  'SIZEOF_OP',
  'SIZEOF_PROGRAM',
  'SIZEOF_BUNDLE',
  'OFFSETOF_OP_NR',
  'OFFSETOF_OP_CELLS',
  'OFFSETOF_OP_EXPECT',
  'OFFSETOF_OP_OUT',
  'OFFSETOF_OP_TARGET',
  'OFFSETOF_OP_ARGS',
  'OFFSETOF_OP_EXPECTED',
  'OFFSETOF_BUNDLE_FAILED',
  'OFFSETOF_BUNDLE_FAILED_OP',
  'OFFSETOF_BUNDLE_FAILED_RESULT',
  'OFFSETOF_BUNDLE_FAILED_TID',
] as const

export type FormatName = (typeof names)[number]

function constant(name: string): number {
  const value = native.format[name]
  if (value === undefined) throw new Error(`restorer/program.h does not export ${name}`)
  return value
}

export const format: Readonly<Record<FormatName, number>> = Object.fromEntries(names.map((name) => [name, constant(name)])) as Record<
  FormatName,
  number
>
