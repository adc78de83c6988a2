/**
 * Builds bundles: the memory that the interpreter (restorer/) runs programs from. A bundle is compiled for the address it
 * will stand at, so data has its final address as soon as it is allocated.
 */
import { format } from './format.js'
import { Program } from './program.js'

/** The result of an operation, or a slot that is filled in from outside before a run. */
export interface Cell {
  readonly cell: number
  readonly name: string
}

/** A value with the text it is printed as (`"/etc/hosts"`, `O_RDONLY`). */
export interface Shown {
  readonly value: bigint
  readonly text: string
}

export type Argument = bigint | number | Cell | Shown

export const shown = (value: bigint | number, text: string): Shown => ({ value: BigInt(value), text })

const align = (value: number, to: number): number => Math.ceil(value / to) * to

export class Bundle {
  readonly base: bigint
  readonly programs: Program[] = []
  readonly cells: Cell[] = []
  #size: number = format.SIZEOF_BUNDLE
  readonly #contents: { offset: number; bytes: Uint8Array }[] = []

  /** @param base address of the bundle in the process that runs it, page-aligned */
  constructor(base: bigint) {
    this.base = base
  }

  /** Reserves zeroed memory and returns its address. */
  allocate(sizeBytes: number, alignment = 8): bigint {
    this.#size = align(this.#size, alignment)
    const address = this.base + BigInt(this.#size)
    this.#size += sizeBytes
    return address
  }

  /** Places bytes and returns their address. */
  bytes(content: Uint8Array, alignment = 8): bigint {
    const address = this.allocate(content.length, alignment)
    this.#contents.push({ offset: Number(address - this.base), bytes: content })
    return address
  }

  /** Places a NUL-terminated string. */
  string(text: string): Shown {
    return this.text(Buffer.from(text))
  }

  /** Places a NUL-terminated string that need not be of characters. */
  text(bytes: Uint8Array): Shown {
    return shown(this.bytes(Buffer.concat([bytes, Uint8Array.of(0)]), 1), JSON.stringify(Buffer.from(bytes).toString()))
  }

  /** Places 64-bit words: structures of longs, pointers. */
  words(...values: (bigint | number)[]): bigint {
    return this.bytes(new Uint8Array(BigUint64Array.from(values, (value) => BigInt.asUintN(64, BigInt(value))).buffer))
  }

  /** A stack of its own for a program that runs beside its parent in the same memory; returns the top, 16-byte aligned. */
  stack(sizeBytes = 4096): bigint {
    return this.allocate(sizeBytes, 64) + BigInt(sizeBytes)
  }

  cell(name: string): Cell {
    const cell = { cell: this.cells.length, name }
    this.cells.push(cell)
    return cell
  }

  program(name: string, onFailure?: Program): Program {
    const program = new Program(this, this.programs.length, name, onFailure)
    this.programs.push(program)
    return program
  }

  /** Of what `encode` gives. */
  get sizeBytes(): number {
    return this.#layout().total
  }

  /** Offset of a cell from the start of the encoded bundle. */
  cellOffset(cell: Cell): number {
    return this.#layout().cells + cell.cell * 8
  }

  #layout(): { programs: number; ops: number; cells: number; total: number } {
    const opCount = this.programs.reduce((sum, program) => sum + program.ops.length, 0)
    const programs = align(this.#size, 8)
    const ops = programs + this.programs.length * format.SIZEOF_PROGRAM
    const cells = ops + opCount * format.SIZEOF_OP
    return { programs, ops, cells, total: align(cells + this.cells.length * 8, 4096) }
  }

  /** The bundle as bytes, a whole number of pages. */
  encode(): Uint8Array {
    const layout = this.#layout()
    const bytes = new Uint8Array(layout.total)
    const view = new DataView(bytes.buffer)
    this.#encodeHeader(view, layout)
    for (const { offset, bytes: content } of this.#contents) bytes.set(content, offset)
    let firstOp = 0
    for (const program of this.programs) {
      const at = layout.programs + program.index * format.SIZEOF_PROGRAM
      view.setUint32(at, firstOp, true)
      view.setUint32(at + 4, program.ops.length, true)
      view.setUint32(at + 8, program.onFailure?.index ?? format.NO_PROGRAM, true)
      program.encodeInto(view, layout.ops + firstOp * format.SIZEOF_OP)
      firstOp += program.ops.length
    }
    return bytes
  }

  #encodeHeader(view: DataView, layout: { programs: number; ops: number; cells: number; total: number }): void {
    view.setUint32(0, format.MAGIC, true)
    view.setUint16(4, format.VERSION, true)
    view.setUint16(6, format.SIZEOF_OP, true)
    view.setBigUint64(8, this.base, true)
    view.setBigUint64(16, BigInt(layout.total), true)
    view.setBigUint64(24, this.base + BigInt(layout.programs), true)
    view.setBigUint64(32, this.base + BigInt(layout.ops), true)
    view.setBigUint64(40, this.base + BigInt(layout.cells), true)
    view.setUint32(48, this.programs.length, true)
    view.setUint32(52, this.cells.length, true)
  }

  /** The operation with this index over all programs: what `failed_op` names. */
  operation(index: number): { program: Program; op: Program['ops'][number] } | undefined {
    let first = 0
    for (const program of this.programs) {
      const op = program.ops[index - first]
      if (op !== undefined && index >= first) return { program, op }
      first += program.ops.length
    }
    return undefined
  }
}
