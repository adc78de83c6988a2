/** System calls that are made at once, or by a program that is being compiled: what fills a queue of events is the same either way. */
import { native } from '../../../native/index.js'
import type { Argument, Bundle } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import { loop, unless, Variable } from '../../program/loop.js'

/** @typeParam R result of a call, which a later one may be given */
export interface Calls<R> {
  /**
   * An array is passed as its address. An error is thrown, or has the program fail.
   * @param expected what it must give
   */
  call(name: string, args: readonly (number | Uint8Array | R)[], expected?: number): R
  repeat(times: number, turn: () => void): void
  /** Reads so many bytes, and forgets them. */
  discard(fd: R, bytes: number): void
}

/** As the kernel takes it. */
export const pathBytes = (path: string | Uint8Array): Uint8Array => Buffer.concat([Buffer.from(path), Uint8Array.of(0)])

const READ_BYTES = 4080

export const callsAtOnce: Calls<bigint> = {
  call(name, args, expected) {
    const result = native.syscall(name, args)
    if (expected !== undefined && result !== BigInt(expected)) throw new Error(`${name} gave ${result} instead of ${expected}`)
    return result
  },
  repeat(times, turn) {
    for (let i = 0; i < times; i++) turn()
  },
  discard(fd, bytes) {
    const buffer = new Uint8Array(READ_BYTES)
    for (let left = bytes; left > 0;) left -= Number(native.syscall('read', [fd, buffer, Math.min(left, READ_BYTES)]))
  },
}

export function callsOf(program: Program): Calls<Argument> {
  const { bundle } = program
  const addresses = new Addresses(bundle)
  return {
    call: (name, args, expected) =>
      program.call(
        name,
        args.map((argument) => (argument instanceof Uint8Array ? addresses.of(argument) : argument)),
        expected === undefined ? 'ok' : { equal: expected },
      ),
    repeat(times, turn) {
      const left = new Variable(program, times)
      loop(program, (_, doneIf) => {
        doneIf('less', left.get(), 1)
        turn()
        left.subtract(1)
      })
    },
    discard(fd, bytes) {
      const [left, buffer] = [new Variable(program, bytes), bundle.allocate(READ_BYTES)]
      loop(program, (_, doneIf) => {
        doneIf('less', left.get(), 1)
        const count = new Variable(program, READ_BYTES)
        unless(program, 'less', READ_BYTES, left.get(), () => count.set(left.get()))
        left.subtract(program.call('read', [fd, buffer, count.get()]))
      })
    },
  }
}

/** Where the arrays stand that a program is given: like ones, such as the path of a file that much happens to, at one place. */
class Addresses {
  readonly #bundle: Bundle
  readonly #known = new Map<string, Argument>()

  constructor(bundle: Bundle) {
    this.#bundle = bundle
  }

  of(bytes: Uint8Array): Argument {
    const key = Buffer.from(bytes).toString('latin1')
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const isPath = bytes.indexOf(0) === bytes.length - 1 && bytes.length > 1
    const address = isPath ? this.#bundle.text(bytes.subarray(0, -1)) : this.#bundle.bytes(bytes)
    this.#known.set(key, address)
    return address
  }
}
