/**
 * Names of tasks (comm in proc(5)): up to 15 bytes, whatever they mean. What cuts a longer name to that (prctl(2) with PR_SET_NAME) cuts
 * characters of several bytes, too.
 */
import { readFileSync } from 'node:fs'
import type { Program } from '../program/program.js'

const PR_SET_NAME = 15

/** Without the line break that /proc puts behind it. */
export const readName = (pid: number, tid: number = pid): Uint8Array =>
  Uint8Array.from(readFileSync(`/proc/${pid}/task/${tid}/comm`).subarray(0, -1))

/** To be read by people, on one line. */
export const nameText = (name: Uint8Array = new Uint8Array()): string => Buffer.from(name).toString().replaceAll('\n', '\\n')

/** Emitted in the task itself. */
export function emitName(program: Program, name: Uint8Array): void {
  program.call('prctl', [PR_SET_NAME, program.bundle.text(name), 0, 0, 0])
}
