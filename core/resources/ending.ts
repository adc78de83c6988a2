/** How a process of ours ends in the way that another one has ended. */
import type { Program } from '../program/program.js'

const SIG_UNBLOCK = 1
const MASK_BYTES = 8
const RLIMIT_CORE = 4
const CORE_DUMPED = 0x80
/** Of a byte, which keeps a core from files and from programs that are given them (core(5)); none at all would not. May be above the hard limit: then none it is. */
const NO_CORE = 1

/** Signals whose default action does not end a process (signal(7)): SIGCHLD to SIGTTOU, SIGURG and SIGWINCH. */
const HARMLESS = new Set([17, 18, 19, 20, 21, 22, 23, 28])
const LAST_SIGNAL = 64

/** Whether a process can have ended so: with an exit status, or by a signal, without a core. */
export function isEnding(status: number): boolean {
  const signal = status & 0x7f
  if (signal === 0) return (status & ~0xff00) === 0
  return status === signal && signal <= LAST_SIGNAL && !HARMLESS.has(signal)
}

export const hasDumpedCore = (status: number): boolean => (status & CORE_DUMPED) !== 0

/** @param status of wait(2), of one that has not dumped core */
export function emitEnding(program: Program, status: number): void {
  const signal = status & 0x7f
  if (signal === 0) {
    program.call('exit_group', [status >> 8])
    return
  }
  const { bundle } = program
  program.call('prlimit64', [0, RLIMIT_CORE, bundle.words(NO_CORE, NO_CORE), 0], 'any')
  program.call('kill', [program.call('getpid'), signal])
  program.call('rt_sigprocmask', [SIG_UNBLOCK, bundle.words(1n << BigInt(signal - 1)), 0, MASK_BYTES])
}
