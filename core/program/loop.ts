/** Loops and conditions of programs. */
import type { Argument, Cell } from './bundle.js'
import type { Program } from './program.js'

/** A number in memory, which a loop can change. */
export class Variable {
  readonly #program: Program
  readonly #address: bigint

  constructor(program: Program, value: Argument = 0) {
    this.#program = program
    this.#address = program.bundle.allocate(8)
    this.set(value)
  }

  get(): Cell {
    return this.#program.load(this.#address, 8)
  }

  set(value: Argument): void {
    this.#program.store(this.#address, value, 8)
  }

  add(value: Argument): void {
    this.set(this.#program.sum(this.get(), value))
  }

  subtract(value: Argument): void {
    this.add(this.#program.product(value, -1))
  }
}

/** Runs `turn` until it jumps to `done`. */
export function loop(
  program: Program,
  turn: (done: () => void, unless: (how: 'equal' | 'less', left: Argument, right: Argument) => void) => void,
): void {
  const start = program.here
  const ends: ReturnType<Program['jump']>[] = []
  turn(
    () => ends.push(program.jump(0)),
    (how, left, right) => ends.push(program.jump(0, how, left, right)),
  )
  program.jump(start)
  for (const end of ends) end.target = program.here
}

/** What `build` emits is done only if the comparison does not hold. */
export function unless(program: Program, how: 'equal' | 'less' | 'not-equal', left: Argument, right: Argument, build: () => void): void {
  const skipped = program.jump(0, how, left, right)
  build()
  skipped.target = program.here
}
