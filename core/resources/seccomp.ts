/**
 * seccomp(2): strict mode and filters, per thread. They are read from a thread that is traced, which takes CAP_SYS_ADMIN in the initial user
 * namespace, and do not apply while it is (PTRACE_O_SUSPEND_SECCOMP), so that the calls it is made to perform do it no harm. They are the
 * last thing that a restored thread gets: all that it still does is rt_sigreturn.
 */
import { native } from '../../native/index.js'
import type { SeccompFilter, SeccompModel, ThreadModel } from '../image/model.js'
import { field, readStatus } from '../proc/status.js'
import type { Status } from '../proc/status.js'
import type { Program } from '../program/program.js'
import { filtersOf, hasOwn, mayAdminister, modeOf, refused } from './seccomp/access.js'
import { actionOf, actionsIn } from './seccomp/verdict.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'task',
  carried: 'seccomp (as root)',
  conditions: [
    'Threads whose seccomp filters differ get them one by one: a later filter for all threads (SECCOMP_FILTER_FLAG_TSYNC) finds that they share none.',
    'Filters are suspended while a checkpoint is made: if the dumper is killed in the middle of it, they see what it was doing.',
  ],
  refused: { THAW_SECCOMP: 'seccomp filters that ask another process or forbid rt_sigreturn' },
}

const PTRACE_SECCOMP_GET_FILTER = 0x420c
const PTRACE_SECCOMP_GET_METADATA = 0x420d
const MODE_STRICT = 1
const MODE_FILTER = 2
const PR_SET_SECCOMP = 22
const SECCOMP_SET_MODE_FILTER = 1
const FLAG_TSYNC = 1
const FLAG_LOG = 2
const FLAG_SPEC_ALLOW = 4
const INSTRUCTION_BYTES = 8
const FUTEX_WAIT = 0
const FUTEX_WAKE = 1
const RET_USER_NOTIF = 0x7fc0_0000
const RET_LOG = 0x7ffc_0000
const RET_ALLOW = 0x7fff_0000

/** Of a thread that was stopped. @throws UnsupportedError THAW_SECCOMP */
export function collectSeccomp(pid: number, tid: number): SeccompModel | null {
  const status = readStatus(pid, tid)
  if (!hasOwn(pid, status)) return null
  if (modeOf(status) === MODE_STRICT) return { strict: true, filters: [] }
  const mitigated = /force mitigated/.test(status.get('Speculation_Store_Bypass') ?? '')
  const filters = Array.from({ length: filtersOf(status) }, (_, i) => {
    const program = readFilter(tid, i)
    return { program, flags: (isLogged(tid, i) ? FLAG_LOG : 0) | (mitigated ? 0 : FLAG_SPEC_ALLOW) }
  })
  for (const [i, filter] of filters.entries()) refuseUnfit(pid, tid, status, filters.slice(0, i), filter)
  if (field(status, 'NoNewPrivs') !== '1' && !mayAdminister(status))
    throw refused(pid, tid, status, 'set with a privilege that it has no more. Set no_new_privs before the filter.')
  return { strict: false, filters }
}

/** The oldest first. Without a buffer the kernel tells its length, in instructions. */
function readFilter(tid: number, index: number): Uint8Array {
  const length = Number(native.syscall('ptrace', [PTRACE_SECCOMP_GET_FILTER, tid, index, 0]))
  const program = new Uint8Array(length * INSTRUCTION_BYTES)
  native.syscall('ptrace', [PTRACE_SECCOMP_GET_FILTER, tid, index, program])
  return program
}

/** struct seccomp_metadata, since Linux 4.16. */
function isLogged(tid: number, index: number): boolean {
  const metadata = new BigUint64Array([BigInt(index), 0n])
  const bytes = new Uint8Array(metadata.buffer)
  native.syscall('ptrace', [PTRACE_SECCOMP_GET_METADATA, tid, bytes.length, bytes])
  return ((metadata[1] ?? 0n) & BigInt(FLAG_LOG)) !== 0n
}

function refuseUnfit(pid: number, tid: number, status: Status, earlier: readonly SeccompFilter[], filter: SeccompFilter): void {
  if (actionsIn(filter.program).some((action) => action === undefined || action === RET_USER_NOTIF))
    throw refused(pid, tid, status, 'which asks another process (SECCOMP_RET_USER_NOTIF). Start the process without it.')
  if (!allows([filter], 'rt_sigreturn', []))
    throw refused(pid, tid, status, 'which forbids rt_sigreturn, the last call of a restore. Allow it.')
  if (wayToSet(earlier, filter) === undefined)
    throw refused(pid, tid, status, 'and one before that, which forbids to set another. Set them in the other order.')
}

function allows(filters: readonly SeccompFilter[], call: string, args: readonly number[]): boolean {
  const actions = filters.map(({ program }) => actionOf(program, native.syscalls[call] ?? 0, args))
  return actions.every((action) => action === RET_ALLOW || action === RET_LOG)
}

/** Each filter is set under those before it, which may know only one of the two calls. */
function wayToSet(earlier: readonly SeccompFilter[], { flags }: SeccompFilter): 'seccomp' | 'prctl' | undefined {
  if (allows(earlier, 'seccomp', [SECCOMP_SET_MODE_FILTER, flags])) return 'seccomp'
  return (flags & FLAG_LOG) === 0 && allows(earlier, 'prctl', [PR_SET_SECCOMP, MODE_FILTER]) ? 'prctl' : undefined
}

/**
 * The last thing that a leader does but for letting the other threads go: filters that all have in common are set for all at once, so that
 * they are the same to the kernel, too (SECCOMP_FILTER_FLAG_TSYNC).
 */
export function emitSharedSeccomp(program: Program, threads: readonly ThreadModel[]): void {
  if (isShared(threads)) emitSeccomp(program, threads[0]?.seccomp ?? null, FLAG_TSYNC)
}

/** The last thing before a thread leaves. @param threads all of its process */
export function emitOwnSeccomp(program: Program, { seccomp }: ThreadModel, threads: readonly ThreadModel[]): void {
  if (!isShared(threads)) emitSeccomp(program, seccomp, 0)
}

/** They must let the leader wake the others, and let those wake up. */
function isShared([leader, ...others]: readonly ThreadModel[]): boolean {
  const filters = leader?.seccomp?.filters ?? []
  const alike = others.every(
    ({ seccomp, credentials }) => sameFilters(filters, seccomp?.filters ?? []) && credentials.noNewPrivs === leader?.credentials.noNewPrivs,
  )
  const settable = filters.every(
    (filter, i) => wayToSet(filters.slice(0, i), { ...filter, flags: filter.flags | FLAG_TSYNC }) === 'seccomp',
  )
  return (
    filters.length > 0 &&
    others.length > 0 &&
    alike &&
    settable &&
    [FUTEX_WAIT, FUTEX_WAKE].every((op) => allows(filters, 'futex', [0, op]))
  )
}

const sameFilters = (some: readonly SeccompFilter[], others: readonly SeccompFilter[]): boolean =>
  some.length === others.length &&
  some.every(({ program, flags }, i) => flags === others[i]?.flags && Buffer.compare(program, others[i].program) === 0)

function emitSeccomp(program: Program, seccomp: SeccompModel | null, flags: number): void {
  if (seccomp === null) return
  program.for('seccomp', () => {
    if (seccomp.strict) program.call('prctl', [PR_SET_SECCOMP, MODE_STRICT, 0, 0, 0])
    for (const [i, filter] of seccomp.filters.entries()) emitFilter(program, filter, flags, wayToSet(seccomp.filters.slice(0, i), filter))
  })
}

/** With a struct sock_fprog. Where it cannot be set for another thread, the result is that thread's id. */
function emitFilter(program: Program, filter: SeccompFilter, flags: number, way: 'seccomp' | 'prctl' | undefined): void {
  const { bundle } = program
  const pointer = bundle.words(filter.program.length / INSTRUCTION_BYTES, bundle.bytes(filter.program))
  if (way === 'prctl') program.call('prctl', [PR_SET_SECCOMP, MODE_FILTER, pointer, 0, 0])
  else program.call('seccomp', [SECCOMP_SET_MODE_FILTER, filter.flags | flags, pointer], { equal: 0 })
}
