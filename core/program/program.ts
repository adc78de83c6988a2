/** One program: a straight list of operations, built call by call. */
import { native } from '../../native/index.js'
import type { Argument, Bundle, Cell } from './bundle.js'
import { format } from './format.js'

/** What a failed operation was for, in words: `descriptor 7 (pipe)`. */
export type Purpose = string

/** How a result is judged. `orErrno` accepts one error besides success. */
export type Expectation = 'ok' | 'any' | { readonly equal: bigint | number } | { readonly orErrno: number }

export type Comparison = 'always' | 'equal' | 'not-equal' | 'less'

export interface Operation {
  readonly code: number
  /** System call number, width or comparison. */
  readonly nr: number
  readonly name: string
  readonly args: readonly Argument[]
  readonly expect: Expectation
  readonly out: Cell | undefined
  target: number
  readonly purpose: Purpose
  /** For `spawn`: the child's program. */
  readonly child?: Program
}

const comparisons: Record<Comparison, number> = {
  always: format.COMPARE_ALWAYS,
  equal: format.COMPARE_EQUAL,
  'not-equal': format.COMPARE_NOT_EQUAL,
  less: format.COMPARE_LESS,
}

export function isCell(argument: Argument): argument is Cell {
  return typeof argument === 'object' && 'cell' in argument
}

function valueOf(argument: Argument): bigint {
  if (typeof argument === 'object') return 'cell' in argument ? BigInt(argument.cell) : argument.value
  return BigInt(argument)
}

export class Program {
  readonly ops: Operation[] = []
  readonly bundle: Bundle
  readonly index: number
  readonly name: string
  /** Goes on here when an operation fails. */
  onFailure: Program | undefined
  #purpose: Purpose = ''

  constructor(bundle: Bundle, index: number, name: string, onFailure?: Program) {
    this.bundle = bundle
    this.index = index
    this.name = name
    this.onFailure = onFailure
  }

  /** Names what the operations added by `build` are for; nests. */
  for(purpose: Purpose, build: () => void): void {
    const outer = this.#purpose
    this.#purpose = outer === '' ? purpose : `${outer}: ${purpose}`
    build()
    this.#purpose = outer
  }

  /** A system call by name; the result is a cell that later arguments may name. */
  call(name: string, args: readonly Argument[] = [], expect: Expectation = 'ok'): Cell {
    const out = this.bundle.cell(`${name}#${this.ops.length}`)
    this.callInto(out, name, args, expect)
    return out
  }

  /** Like `call`, with the result in a cell that exists already. */
  callInto(out: Cell, name: string, args: readonly Argument[], expect: Expectation = 'ok'): void {
    const nr = native.syscalls[name]
    if (nr === undefined) throw new Error(`no system call is named ${name}`)
    this.#push(format.OP_SYSCALL, nr, name, args, expect, out)
  }

  /** The call by which a parasite tells its tracer that it is done. */
  marker(): void {
    this.#push(format.OP_SYSCALL, format.MARKER_SYSCALL, 'marker', [], 'any')
  }

  /** clone3 with the struct clone_args at `address`; the child runs `child`. Returns the child's pid. */
  spawn(child: Program, address: bigint, sizeBytes: number): Cell {
    const out = this.bundle.cell(`${child.name}.pid`)
    this.ops.push({
      code: format.OP_SPAWN,
      nr: 0,
      name: 'clone3',
      args: [address, sizeBytes],
      expect: 'ok',
      out,
      target: child.index,
      purpose: this.#purpose,
      child,
    })
    return out
  }

  load(address: Argument, widthBytes: 1 | 2 | 4 | 8): Cell {
    return this.#add(format.OP_LOAD, widthBytes, 'load', [address], 'any', this.bundle.cell(`load#${this.ops.length}`))
  }

  sum(left: Argument, right: Argument): Cell {
    return this.#add(format.OP_SUM, 0, 'sum', [left, right], 'any', this.bundle.cell(`sum#${this.ops.length}`))
  }

  product(left: Argument, right: Argument): Cell {
    return this.#add(format.OP_PRODUCT, 0, 'product', [left, right], 'any', this.bundle.cell(`product#${this.ops.length}`))
  }

  /** Rounded towards zero. */
  quotient(left: Argument, right: bigint): Cell {
    return this.#add(format.OP_QUOTIENT, 0, 'quotient', [left, right], 'any', this.bundle.cell(`quotient#${this.ops.length}`))
  }

  /** Loads components of the extended state, a mask of XCR0's bits, from an XSAVE area in the standard format, 64-byte aligned. */
  restoreExtendedState(area: bigint, components: bigint): void {
    this.#push(format.OP_XRSTOR, 0, 'xrstor', [area, components], 'any')
  }

  store(address: Argument, value: Argument, widthBytes: 1 | 2 | 4 | 8): void {
    this.#push(format.OP_STORE, widthBytes, 'store', [address, value], 'any')
  }

  copy(to: Argument, from: Argument, lengthBytes: Argument): void {
    this.#push(format.OP_COPY, 0, 'copy', [to, from, lengthBytes], 'any')
  }

  /** Atomically adds to a 32-bit word and wakes who waits for it. @param awaited the one value that anybody waits for, if there is only one */
  add(address: Argument, delta: number, awaited?: number): void {
    this.#push(format.OP_ADD, 0, 'add', awaited === undefined ? [address, delta] : [address, delta, awaited], 'any')
  }

  /** Sleeps until the 32-bit word has this value. */
  waitFor(address: Argument, value: number): void {
    this.#push(format.OP_WAIT, 0, 'wait', [address, value], 'any')
  }

  /** The place that the next operation will have: a label for `jump`. */
  get here(): number {
    return this.ops.length
  }

  /** Goes on at `target` when the comparison holds. Returns the operation, whose target may be set later. */
  jump(target: number, how: Comparison = 'always', left: Argument = 0, right: Argument = 0): Operation {
    const op = this.#push(format.OP_JUMP, comparisons[how], `jump-${how}`, [left, right], 'any')
    op.target = target
    return op
  }

  /** Ends the program by rt_sigreturn with the ucontext at this address. */
  leave(ucontext: Argument): void {
    this.#push(format.OP_LEAVE, 0, 'rt_sigreturn', [ucontext], 'any')
  }

  #add(code: number, nr: number, name: string, args: readonly Argument[], expect: Expectation, out: Cell): Cell {
    this.#push(code, nr, name, args, expect, out)
    return out
  }

  #push(code: number, nr: number, name: string, args: readonly Argument[], expect: Expectation, out?: Cell): Operation {
    if (args.length > 6) throw new Error(`${name} takes at most 6 arguments`)
    const op: Operation = { code, nr, name, args, expect, out, target: 0, purpose: this.#purpose }
    this.ops.push(op)
    return op
  }

  encodeInto(view: DataView, start: number): void {
    this.ops.forEach((op, i) => encodeOperation(op, view, start + i * format.SIZEOF_OP))
  }
}

function encodeOperation(op: Operation, view: DataView, at: number): void {
  view.setUint16(at, op.code, true)
  view.setUint16(at + format.OFFSETOF_OP_NR, op.nr, true)
  let cells = 0
  op.args.forEach((argument, i) => {
    if (isCell(argument)) cells |= 1 << i
    view.setBigUint64(at + format.OFFSETOF_OP_ARGS + i * 8, BigInt.asUintN(64, valueOf(argument)), true)
  })
  view.setUint8(at + format.OFFSETOF_OP_CELLS, cells)
  view.setUint32(at + format.OFFSETOF_OP_OUT, op.out?.cell ?? format.NO_CELL, true)
  view.setUint32(at + format.OFFSETOF_OP_TARGET, op.target, true)
  const [expect, expected] = encodeExpectation(op.expect)
  view.setUint8(at + format.OFFSETOF_OP_EXPECT, expect)
  view.setBigInt64(at + format.OFFSETOF_OP_EXPECTED, expected, true)
}

function encodeExpectation(expect: Expectation): readonly [number, bigint] {
  if (expect === 'any') return [format.EXPECT_ANY, 0n]
  if (expect === 'ok') return [format.EXPECT_OK, 0n]
  if ('equal' in expect) return [format.EXPECT_EQUAL, BigInt(expect.equal)]
  return [format.EXPECT_OK_OR, -BigInt(expect.orErrno)]
}
