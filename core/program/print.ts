/** Programs as text, in the manner of strace: `openat(AT_FDCWD, "/etc/hosts", 0x80000, 0) = fd#3`. */
import type { Argument, Bundle } from './bundle.js'
import type { Expectation, Operation, Program } from './program.js'

const LONG = 0x10000n

function printArgument(argument: Argument): string {
  if (typeof argument === 'object') return 'cell' in argument ? `<${argument.name}>` : argument.text
  const value = BigInt(argument)
  return value >= LONG || value < -LONG ? `0x${BigInt.asUintN(64, value).toString(16)}` : value.toString()
}

function printExpectation(expect: Expectation): string {
  if (expect === 'ok') return ''
  if (expect === 'any') return ' (any)'
  if ('equal' in expect) return ` (must be ${expect.equal})`
  return ` (or errno ${expect.orErrno})`
}

export function printOperation(op: Operation): string {
  const child = op.child === undefined ? '' : ` {${op.child.name}}`
  const target = op.name.startsWith('jump') ? ` → ${op.target}` : ''
  const out = op.out === undefined ? '' : ` = <${op.out.name}>`
  return `${op.name}(${op.args.map(printArgument).join(', ')})${child}${target}${out}${printExpectation(op.expect)}`
}

/** One operation with what it was for: what errors name. */
export function describeOperation(op: Operation): string {
  return op.purpose === '' ? printOperation(op) : `${op.purpose}: ${printOperation(op)}`
}

export function printProgram(program: Program): string {
  const lines = [`program ${program.index} ${program.name} (${program.ops.length} operations)`]
  let purpose = ''
  program.ops.forEach((op, i) => {
    if (op.purpose !== purpose && op.purpose !== '') lines.push(`  # ${op.purpose}`)
    purpose = op.purpose
    lines.push(`  ${String(i).padStart(4)}  ${printOperation(op)}`)
  })
  return lines.join('\n')
}

export function printBundle(bundle: Bundle): string {
  return bundle.programs.map(printProgram).join('\n\n')
}
