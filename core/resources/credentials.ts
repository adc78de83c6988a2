/** credentials(7) and capabilities(7); each thread has its own. */
import type { ParasiteResults } from '../checkpoint/parasite.js'
import type { Credentials } from '../image/model.js'
import { field } from '../proc/status.js'
import type { Status } from '../proc/status.js'
import type { Program } from '../program/program.js'
import type { Support } from './support.js'

export const support: Support = { topic: 'task', carried: 'credentials and capabilities' }

const PR_SET_KEEPCAPS = 8
const PR_CAPBSET_DROP = 24
const PR_GET_SECUREBITS = 27
const PR_SET_SECUREBITS = 28
const PR_SET_NO_NEW_PRIVS = 38
const PR_CAP_AMBIENT = 47
const PR_CAP_AMBIENT_RAISE = 2n
const CAPABILITY_VERSION_3 = 0x20080522
const LAST_CAPABILITY = 63n

const numbers = (text: string): number[] => text.split(/\s+/).filter(Boolean).map(Number)
const mask = (text: string): bigint => BigInt(`0x${text}`)

/** Everything but securebits stands in /proc/PID/status. */
export function readCredentials(status: Status): Omit<Credentials, 'securebits'> {
  return {
    uids: numbers(field(status, 'Uid')),
    gids: numbers(field(status, 'Gid')),
    groups: numbers(field(status, 'Groups')),
    inheritable: mask(field(status, 'CapInh')),
    permitted: mask(field(status, 'CapPrm')),
    effective: mask(field(status, 'CapEff')),
    bounding: mask(field(status, 'CapBnd')),
    ambient: mask(field(status, 'CapAmb')),
    noNewPrivs: field(status, 'NoNewPrivs') === '1',
  }
}

export function askSecurebits(program: Program): (results: ParasiteResults) => number {
  const securebits = program.call('prctl', [PR_GET_SECUREBITS, 0, 0, 0, 0])
  return (results) => Number(results.cell(securebits))
}

/**
 * Emitted in the thread itself, after everything that needs privileges. `own` is what the thread starts with: what is the same needs no
 * call, so an ordinary user can restore what is its own. Order as capabilities(7) demands: the bounding set while CAP_SETPCAP is
 * there, ids with the capabilities kept, then the sets, ambient last.
 */
export function emitCredentials(program: Program, wanted: Credentials, own: Credentials): void {
  program.for('credentials', () => {
    for (let cap = 0n; cap <= LAST_CAPABILITY; cap++) {
      const bit = 1n << cap
      if ((own.bounding & bit) !== 0n && (wanted.bounding & bit) === 0n) program.call('prctl', [PR_CAPBSET_DROP, cap, 0, 0, 0])
    }
    if (!same(wanted.groups, own.groups)) {
      const list = program.bundle.bytes(new Uint8Array(Uint32Array.from(wanted.groups).buffer))
      program.call('setgroups', [wanted.groups.length, list])
    }
    const idsChange = !same(wanted.uids, own.uids) || !same(wanted.gids, own.gids)
    if (idsChange) {
      emitIds(program, wanted)
      // Ids other than root's take the effective set away: it is needed once more.
      emitCapabilities(program, own.permitted, own.permitted, wanted.inheritable)
      program.call('setfsuid', [wanted.uids[3] ?? 0], 'any')
    }
    if (idsChange || wanted.securebits !== own.securebits) program.call('prctl', [PR_SET_SECUREBITS, wanted.securebits, 0, 0, 0])
    if (idsChange || !sameSets(wanted, own)) emitSets(program, wanted)
    if (wanted.noNewPrivs && !own.noNewPrivs) program.call('prctl', [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0])
  })
}

function emitIds(program: Program, { uids, gids }: Credentials): void {
  const [rgid = 0, egid = 0, sgid = 0, fsgid = 0] = gids
  const [ruid = 0, euid = 0, suid = 0] = uids
  program.call('setresgid', [rgid, egid, sgid])
  program.call('setfsgid', [fsgid], 'any')
  program.call('prctl', [PR_SET_KEEPCAPS, 1, 0, 0, 0])
  program.call('setresuid', [ruid, euid, suid])
}

function emitSets(program: Program, wanted: Credentials): void {
  emitCapabilities(program, wanted.effective, wanted.permitted, wanted.inheritable)
  for (let cap = 0n; cap <= LAST_CAPABILITY; cap++)
    if ((wanted.ambient & (1n << cap)) !== 0n) program.call('prctl', [PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0])
}

function emitCapabilities(program: Program, effective: bigint, permitted: bigint, inheritable: bigint): void {
  const header = program.bundle.bytes(new Uint8Array(Uint32Array.of(CAPABILITY_VERSION_3, 0).buffer))
  program.call('capset', [header, program.bundle.bytes(capabilityData(effective, permitted, inheritable))])
}

/** struct __user_cap_data_struct twice: the low and the high 32 capabilities. */
function capabilityData(effective: bigint, permitted: bigint, inheritable: bigint): Uint8Array {
  const low = (set: bigint): number => Number(set & 0xffff_ffffn)
  const high = (set: bigint): number => Number(set >> 32n)
  return new Uint8Array(
    Uint32Array.of(low(effective), low(permitted), low(inheritable), high(effective), high(permitted), high(inheritable)).buffer,
  )
}

const same = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((value, i) => value === b[i])
const sameSets = (a: Credentials, b: Credentials): boolean =>
  a.effective === b.effective && a.permitted === b.permitted && a.inheritable === b.inheritable && a.ambient === b.ambient
