/** getrlimit(2), read from /proc/PID/limits: prlimit on a task of another user needs a privilege that even root may lack. */
import { readFileSync } from 'node:fs'
import type { Limit } from '../image/model.js'
import type { Program } from '../program/program.js'
import type { Support } from './support.js'

export const support: Support = { topic: 'task', carried: 'limits' }

const UNLIMITED = 0xffff_ffff_ffff_ffffn
/** RLIMIT_* by the words that /proc prints. */
const resources: Readonly<Record<string, number>> = {
  'Max cpu time': 0,
  'Max file size': 1,
  'Max data size': 2,
  'Max stack size': 3,
  'Max core file size': 4,
  'Max resident set': 5,
  'Max processes': 6,
  'Max open files': 7,
  'Max locked memory': 8,
  'Max address space': 9,
  'Max file locks': 10,
  'Max pending signals': 11,
  'Max msgqueue size': 12,
  'Max nice priority': 13,
  'Max realtime priority': 14,
  'Max realtime timeout': 15,
}

export function collectLimits(pid: number): Limit[] {
  const limits: Limit[] = []
  for (const line of readFileSync(`/proc/${pid}/limits`, 'utf8').split('\n').slice(1)) {
    const match = /^(.+?) {2,}(\S+) +(\S+)/.exec(line)
    const resource = resources[match?.[1] ?? '']
    if (match === null || resource === undefined) continue
    limits.push({ resource, soft: value(match[2]), hard: value(match[3]) })
  }
  return limits
}

const value = (word: string | undefined): bigint => (word === 'unlimited' ? UNLIMITED : BigInt(word ?? 0))

/** Late: a small limit (open files, locked memory) must not stand in the way of the restore itself. Hard limits are never raised. */
export function emitLimits(program: Program, limits: readonly Limit[]): void {
  program.for('limits', () => {
    for (const { resource, soft, hard } of limits) program.call('prlimit64', [0, resource, program.bundle.words(soft, hard), 0])
  })
}
