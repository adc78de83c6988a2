/** What each signal does (rt_sigaction(2)); of the process. */
import type { ParasiteResults } from '../checkpoint/parasite.js'
import type { SignalAction } from '../image/model.js'
import type { Program } from '../program/program.js'
import type { Support } from './support.js'

export const support: Support = { topic: 'task', carried: 'signal actions, masks and stacks' }

const SIGKILL = 9
const SIGSTOP = 19
const SIGNALS = 64
/** struct kernel_sigaction: handler, flags, restorer, mask. */
const ACTION_BYTES = 32
const MASK_BYTES = 8

const settable = Array.from({ length: SIGNALS }, (_, i) => i + 1).filter((signal) => signal !== SIGKILL && signal !== SIGSTOP)

/** Adds the questions to a parasite's program; the result reads the answers. Actions that are the default are left out. */
export function askSignalActions(program: Program): (results: ParasiteResults) => SignalAction[] {
  const address = program.bundle.allocate(SIGNALS * ACTION_BYTES)
  const at = (signal: number): bigint => address + BigInt((signal - 1) * ACTION_BYTES)
  program.for('signal actions', () => {
    for (const signal of settable) program.call('rt_sigaction', [signal, 0, at(signal), MASK_BYTES])
  })
  return (results) =>
    settable
      .map((signal) => decode(signal, results.bytes(at(signal), ACTION_BYTES)))
      .filter((action) => action.handler !== 0n || action.flags !== 0n)
}

function decode(signal: number, bytes: Uint8Array): SignalAction {
  const [handler = 0n, flags = 0n, restorer = 0n, mask = 0n] = new BigUint64Array(bytes.slice().buffer)
  return { signal, handler, flags, restorer, mask }
}

/** The process starts with default actions only. */
export function emitSignalActions(program: Program, actions: readonly SignalAction[]): void {
  program.for('signal actions', () => {
    for (const { signal, handler, flags, restorer, mask } of actions)
      program.call('rt_sigaction', [signal, program.bundle.words(handler, flags, restorer, mask), 0, MASK_BYTES])
  })
}
