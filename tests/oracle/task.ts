/** What belongs to one thread. */

import { readFileSync } from 'node:fs'
import type { Subject } from './facts.ts'
import { innermost, parseFields, readText, statFields } from './procfs.ts'

/** The lines of /proc/TID/status that must come back; the others are counters, sizes and what the kernel decides anew. */
const STATUS = [
  'Name',
  'Umask',
  'Uid',
  'Gid',
  'Groups',
  'NStgid',
  'NSpid',
  'NSpgid',
  'NSsid',
  'Kthread',
  'CoreDumping',
  'THP_enabled',
  'untag_mask',
  'SigPnd',
  'ShdPnd',
  'SigBlk',
  'SigIgn',
  'SigCgt',
  'CapInh',
  'CapPrm',
  'CapEff',
  'CapBnd',
  'CapAmb',
  'NoNewPrivs',
  'Seccomp',
  'Seccomp_filters',
  'Speculation_Store_Bypass',
  'SpeculationIndirectBranch',
  'Cpus_allowed_list',
  'Mems_allowed_list',
  'x86_Thread_features',
  'x86_Thread_features_locked',
]

/** Fields of /proc/TID/stat by their number in proc(5). */
const STAT: Record<number, string> = {
  7: 'tty_nr',
  18: 'priority',
  19: 'nice',
  25: 'rsslim',
  26: 'startcode',
  27: 'endcode',
  28: 'startstack',
  38: 'exit_signal',
  40: 'rt_priority',
  41: 'policy',
  45: 'start_data',
  46: 'end_data',
  47: 'start_brk',
  48: 'arg_start',
  49: 'arg_end',
  50: 'env_start',
  51: 'env_end',
  52: 'exit_code',
}

export function describeTask(pid: number, tid: number, thread: Subject): void {
  const path = `/proc/${pid}/task/${tid}`
  const status = parseFields(readText(`${path}/status`) ?? '')
  for (const name of STATUS) {
    const value = status.get(name)
    thread.is(name, value !== undefined && name.startsWith('NS') ? innermost(value) : value)
  }
  thread.is('state', stateOf(status.get('State') ?? ''))
  const fields = statFields(readText(`${path}/stat`) ?? '')
  for (const [number, name] of Object.entries(STAT)) thread.is(name, fields[Number(number) - 3])
  thread.is('comm', readText(`${path}/comm`, 'latin1'))
  thread.is('personality', readText(`${path}/personality`))
  // Only /proc/TID itself has it, not the folder of the thread in its process.
  thread.is('timer slack', readText(`/proc/${tid}/timerslack_ns`))
}

/** Running or sleeping is a matter of the moment; stopped, traced and dead are not. */
function stateOf(state: string): string {
  return /^[RSDI]/.test(state) ? 'alive' : state
}

/** The auxiliary vector, one `type=value` each. */
export function auxiliaryVector(pid: number): string {
  const bytes = readFileSync(`/proc/${pid}/auxv`)
  const words = Array.from({ length: bytes.length >> 3 }, (_, i) => bytes.readBigUInt64LE(i * 8).toString(16))
  return words.flatMap((word, i) => (i % 2 === 0 ? [`${word}=${words[i + 1]}`] : [])).join(' ')
}
