/**
 * Descriptors that the first process has opened when the others had been forked already: it hands to each what that one has, over a pair
 * of sockets that all have inherited.
 */
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import type { Planning } from './planning.js'

const AF_UNIX = 1
const SOCK_SEQPACKET_CLOEXEC = 0o2000005
const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const CMSG_HEADER_BYTES = 16
const MSG_CMSG_CLOEXEC = 0x4000_0000
const F_DUPFD_CLOEXEC = 1030
/** SCM_MAX_FD is 253. */
const MOST_AT_ONCE = 200

export interface Receiver {
  readonly processIndex: number
  /** Which of the first process's cells it is to have, under the same names. */
  readonly cells: readonly Cell[]
}

export class HandOver {
  readonly #planning: Planning
  readonly #receivers: readonly Receiver[]
  /** Whose turn it is, counted from 1, and how many have had theirs: else one could take what is another's. */
  readonly #turn: bigint
  readonly #taken: bigint
  readonly #ends: readonly [Cell, Cell]

  constructor(planning: Planning, receivers: readonly Receiver[]) {
    this.#planning = planning
    this.#receivers = receivers
    this.#turn = planning.shared.word()
    this.#taken = planning.shared.word()
    this.#ends = [planning.bundle.cell('hands over'), planning.bundle.cell('takes over')]
  }

  /** In the first process, before it forks. */
  emitSockets(program: Program): void {
    if (this.#receivers.length === 0) return
    const address = program.bundle.allocate(8)
    program.call('socketpair', [AF_UNIX, SOCK_SEQPACKET_CLOEXEC, 0, address])
    this.#ends.forEach((end, i) => this.#raise(program, end, program.load(address + BigInt(i * 4), 4)))
  }

  emitHands(program: Program): void {
    this.#receivers.forEach(({ cells }, i) => {
      program.add(this.#turn, 1)
      for (const some of portions(cells)) {
        const { header, control } = message(program, some.length)
        some.forEach((cell, at) => program.store(control + BigInt(CMSG_HEADER_BYTES + at * 4), cell, 4))
        program.call('sendmsg', [this.#ends[0], header, 0], { equal: 1 })
      }
      program.waitFor(this.#taken, i + 1)
    })
  }

  emitTakes(program: Program, processIndex: number): void {
    const at = this.#receivers.findIndex((receiver) => receiver.processIndex === processIndex)
    const receiver = this.#receivers[at]
    if (receiver === undefined) return
    program.waitFor(this.#turn, at + 1)
    for (const some of portions(receiver.cells)) {
      const { header, control } = message(program, some.length)
      program.call('recvmsg', [this.#ends[1], header, MSG_CMSG_CLOEXEC], { equal: 1 })
      // Out of the way of the tree's own numbers, all of them, before any is put at its number.
      some.forEach((cell, i) => this.#raise(program, cell, program.load(control + BigInt(CMSG_HEADER_BYTES + i * 4), 4)))
    }
    program.add(this.#taken, 1)
  }

  #raise(program: Program, to: Cell, low: Cell): void {
    program.callInto(to, 'fcntl', [low, F_DUPFD_CLOEXEC, this.#planning.serviceBase])
    program.call('close', [low])
  }
}

const portions = (cells: readonly Cell[]): (readonly Cell[])[] =>
  Array.from({ length: Math.ceil(cells.length / MOST_AT_ONCE) }, (_, i) => cells.slice(i * MOST_AT_ONCE, (i + 1) * MOST_AT_ONCE))

/** A struct msghdr with a byte of data and room for this many descriptors. */
function message({ bundle }: Program, count: number): { readonly header: bigint; readonly control: bigint } {
  const length = CMSG_HEADER_BYTES + count * 4
  const bytes = new Uint8Array(Math.ceil(length / 8) * 8)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, BigInt(length), true)
  view.setInt32(8, SOL_SOCKET, true)
  view.setInt32(12, SCM_RIGHTS, true)
  const control = bundle.bytes(bytes, 8)
  return { header: bundle.words(0, 0, bundle.words(bundle.bytes(new Uint8Array(1)), 1), 1, control, bytes.length, 0), control }
}
