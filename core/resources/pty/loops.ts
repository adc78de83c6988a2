/** Loops of programs that move data through a terminal. Its line discipline works in the background, so that what is written is there later. */
import type { Argument, Cell } from '../../program/bundle.js'
import { loop, unless, Variable } from '../../program/loop.js'
import type { Expectation, Program } from '../../program/program.js'
import { pollNow, sleepFor } from '../../program/waiting.js'

export const FIONREAD = 0x541b
export const POLLIN = 1
export const POLLPRI = 2
export const POLLOUT = 4
const PAUSE_NS = 20_000
/** Half a second or more. */
const MOST_PAUSES = 10_000

export function pause(program: Program, ns: number = PAUSE_NS): void {
  sleepFor(program, ns)
}

/**
 * Writes all of it, and waits for room. @param fd that does not block
 * @param expect `any`: what does not fit for long is given up
 */
export function writeAll(program: Program, fd: Argument, bytes: Argument, length: Argument, expect: Expectation): void {
  const [at, left, pauses] = [new Variable(program, bytes), new Variable(program, length), new Variable(program, MOST_PAUSES)]
  loop(program, (done, doneIf) => {
    doneIf('less', left.get(), 1)
    const written = program.call('write', [fd, at.get(), left.get()], 'any')
    unless(program, 'less', written, 1, () => {
      at.add(written)
      left.subtract(written)
    })
    unless(program, 'less', 0, written, () => {
      pause(program)
      pauses.subtract(1)
      unless(program, 'less', 0, pauses.get(), () => {
        program.call('write', [fd, at.get(), left.get()], expect)
        done()
      })
    })
  })
}

/** How much can be read. */
export function countOf(program: Program, fd: Argument): Cell {
  const answer = program.bundle.allocate(8)
  program.call('ioctl', [fd, FIONREAD, answer], 'any')
  return program.load(answer, 4)
}

/** Waits until this much can be read. */
export function awaitCount(program: Program, fd: Argument, count: Argument): void {
  const pauses = new Variable(program, MOST_PAUSES)
  poll(program, fd, POLLIN)
  loop(program, (_, doneIf) => {
    doneIf('equal', countOf(program, fd), count)
    pause(program)
    pauses.subtract(1)
    doneIf('equal', pauses.get(), 0)
  })
}

/** Waits until more than this can be read. @returns 1 when it can, 0 when it cannot for long */
export function awaitMore(program: Program, fd: Argument, count: Argument): Variable {
  const [pauses, arrived] = [new Variable(program, MOST_PAUSES), new Variable(program)]
  loop(program, (_, doneIf) => {
    unless(program, 'less', countOf(program, fd), program.sum(count, 1), () => arrived.set(1))
    doneIf('equal', arrived.get(), 1)
    pause(program)
    pauses.subtract(1)
    doneIf('equal', pauses.get(), 0)
  })
  return arrived
}

/** Waits until nothing can be written, as the output was stopped. */
export function awaitStop(program: Program, fd: Argument): void {
  const pauses = new Variable(program, MOST_PAUSES)
  loop(program, (_, doneIf) => {
    doneIf('equal', poll(program, fd, POLLOUT), 0)
    pause(program)
    pauses.subtract(1)
    doneIf('equal', pauses.get(), 0)
  })
}

/** Looks at what is ready. Where nothing can be read yet, that waits for what is on its way. */
export function poll(program: Program, fd: Argument, events: number): Cell {
  const polled = program.bundle.allocate(8)
  program.store(polled, fd, 4)
  program.store(polled + 4n, events, 4)
  return pollNow(program, polled)
}
