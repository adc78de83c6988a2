/** Small settings of a process: OOM score, personality, subreaper, dumpable, THP, membarrier, core dump filter. */
import { readFileSync } from 'node:fs'
import type { ParasiteResults } from '../checkpoint/parasite.js'
import type { ProcessModel } from '../image/model.js'
import { readMappings } from '../proc/maps.js'
import { readStatus } from '../proc/status.js'
import type { Status } from '../proc/status.js'
import { TILE_DATA, TILE_DATA_BIT } from '../program/extended-state.js'
import type { Program } from '../program/program.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'task',
  carried: 'what prctl sets',
  conditions: [
    'A process that is dumpable for root only (fs.suid_dumpable = 2, and its ids were changed) takes that setting where it is restored, by another user than its own.',
  ],
}

const PR_GET_DUMPABLE = 3
const PR_SET_DUMPABLE = 4
const SUID_DUMP_ROOT = 2
const PR_SET_CHILD_SUBREAPER = 36
const PR_GET_CHILD_SUBREAPER = 37
const PR_SET_THP_DISABLE = 41
const PR_GET_THP_DISABLE = 42
const PR_SET_MEMORY_MERGE = 67
const PR_GET_MEMORY_MERGE = 68
const ARCH_GET_XCOMP_PERM = 0x1022
const ARCH_REQ_XCOMP_PERM = 0x1023
const MCL_FUTURE = 2
const MCL_ONFAULT = 4
const MEMBARRIER_CMD_GET_REGISTRATIONS = 512
const DEFAULT_COREDUMP_FILTER = 0x33

export type ProcessSettings = Pick<
  ProcessModel,
  | 'oomScoreAdjustment'
  | 'personality'
  | 'subreaper'
  | 'dumpable'
  | 'thpDisabled'
  | 'membarrier'
  | 'coredumpFilter'
  | 'memoryMerge'
  | 'futureLocks'
  | 'permittedFeatures'
>

export function askProcessSettings(program: Program, pid: number, status: Status): (results: ParasiteResults) => ProcessSettings {
  const subreaper = program.bundle.allocate(8)
  program.call('prctl', [PR_GET_CHILD_SUBREAPER, subreaper, 0, 0, 0])
  const dumpable = program.call('prctl', [PR_GET_DUMPABLE, 0, 0, 0, 0])
  const personality = program.call('personality', [0xffff_ffff])
  // Since Linux 6.3.
  const membarrier = program.call('membarrier', [MEMBARRIER_CMD_GET_REGISTRATIONS, 0, 0])
  // Since Linux 6.4, where KSM is built in.
  const memoryMerge = program.call('prctl', [PR_GET_MEMORY_MERGE, 0, 0, 0, 0], 'any')
  const permitted = program.bundle.allocate(8)
  // Since Linux 5.16: before that nothing has to be asked for.
  program.call('arch_prctl', [ARCH_GET_XCOMP_PERM, permitted], 'any')
  // Which kinds are still to be had (since Linux 6.18), /proc does not tell.
  const thpDisabled = program.call('prctl', [PR_GET_THP_DISABLE, 0, 0, 0, 0])
  const lockedBefore = lockedMemory(status)
  return (results) => ({
    memoryMerge: results.cell(memoryMerge) === 1n,
    futureLocks: futureLocks(pid, program.bundle.base, lockedBefore),
    oomScoreAdjustment: Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8')),
    coredumpFilter: Number.parseInt(readFileSync(`/proc/${pid}/coredump_filter`, 'utf8'), 16),
    thpDisabled: Number(results.cell(thpDisabled)),
    subreaper: results.bytes(subreaper, 4)[0] === 1,
    dumpable: Number(results.cell(dumpable)),
    personality: Number(results.cell(personality)),
    membarrier: Number(results.cell(membarrier)),
    permittedFeatures: new DataView(results.bytes(permitted, 8).slice().buffer).getBigUint64(0, true),
  })
}

/**
 * What mlockall(MCL_FUTURE) left behind cannot be asked for, but it shows: the parasite's own mapping, which is there when this is called,
 * is locked.
 */
function futureLocks(pid: number, address: bigint, lockedBefore: string | undefined): number {
  if (lockedMemory(readStatus(pid)) === lockedBefore) return 0
  const own = readMappings(pid).find(({ start, end }) => start <= address && address < end)
  return MCL_FUTURE | (own?.flags.has('lf') === true ? MCL_ONFAULT : 0)
}

const lockedMemory = (status: Status): string | undefined => status.get('VmLck')

/** After the threads, whose first memory need not be locked: from here on every new mapping is. */
export function emitFutureLocks(program: Program, { futureLocks: flags }: ProcessSettings): void {
  if (flags !== 0) program.for('locks of future memory', () => program.call('mlockall', [flags]))
}

/** @param ownOom the score that a new process of ours has: never lowered without need, which takes a privilege */
export function emitProcessSettings(program: Program, settings: ProcessSettings, ownOom: number): void {
  program.for('process settings', () => {
    if (settings.personality !== 0) program.call('personality', [settings.personality])
    // Before the alternate stacks of its threads: the kernel looks at their sizes.
    if ((settings.permittedFeatures & TILE_DATA) !== 0n) program.call('arch_prctl', [ARCH_REQ_XCOMP_PERM, TILE_DATA_BIT])
    if (settings.memoryMerge) program.call('prctl', [PR_SET_MEMORY_MERGE, 1, 0, 0, 0])
    if (settings.thpDisabled !== 0) program.call('prctl', [PR_SET_THP_DISABLE, 1, settings.thpDisabled & ~1, 0, 0])
    for (let bit = 0; bit < 32; bit++) if ((settings.membarrier & (1 << bit)) !== 0) program.call('membarrier', [1 << bit, 0, 0])
    if (settings.oomScoreAdjustment !== ownOom) emitWrite(program, '/proc/self/oom_score_adj', String(settings.oomScoreAdjustment))
    if (settings.coredumpFilter !== DEFAULT_COREDUMP_FILTER)
      emitWrite(program, '/proc/self/coredump_filter', `0x${settings.coredumpFilter.toString(16)}`)
  })
}

/** Behind the gate: until then, orphans come up who are not for it. */
export function emitSubreaper(program: Program, { subreaper }: ProcessSettings): void {
  if (subreaper) program.for('subreaper', () => program.call('prctl', [PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0]))
}

/** After the credentials: changing ids resets it (prctl(2), PR_SET_DUMPABLE), and nothing else makes it 2, to which it cannot be set. */
export function emitDumpable(program: Program, { dumpable }: Pick<ProcessSettings, 'dumpable'>): void {
  if (dumpable === SUID_DUMP_ROOT)
    program.for('dumpable for root only (fs.suid_dumpable)', () =>
      program.call('prctl', [PR_GET_DUMPABLE, 0, 0, 0, 0], { equal: SUID_DUMP_ROOT }),
    )
  else program.for('dumpable', () => program.call('prctl', [PR_SET_DUMPABLE, dumpable, 0, 0, 0]))
}

const AT_FDCWD = -100
const O_WRONLY = 1

function emitWrite(program: Program, path: string, text: string): void {
  const fd = program.call('openat', [AT_FDCWD, program.bundle.string(path), O_WRONLY, 0])
  program.call('write', [fd, program.bundle.string(text), text.length], { equal: text.length })
  program.call('close', [fd])
}
