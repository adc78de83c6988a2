/** What threads have of the processor beside policy and priority. What they have in common with the dumper, a copy is born with. */
import { readFileSync, readdirSync } from 'node:fs'
import { native } from '../../native/index.js'
import { readStatus } from '../proc/status.js'
import { readAttributes } from '../resources/scheduling.js'
import type { Support } from '../resources/support.js'

export const support: Support = {
  topic: 'task',
  refused: {
    THAW_DEADLINE: 'deadline scheduling',
    THAW_UTILIZATION: 'utilization clamps (uclamp) other than those of the dumper',
    THAW_SPECULATION: 'control of speculation (PR_SET_SPECULATION_CTRL) other than that of the dumper',
    THAW_CORE_COOKIE: 'core scheduling (PR_SCHED_CORE) with others than the dumper',
  },
}

type Refuse = (code: string, why: string) => never

export function refuseThreadTraits(pid: number, refuse: Refuse): void {
  const ours = traitsOf(process.pid, process.pid)
  for (const tid of readdirSync(`/proc/${pid}/task`).map(Number)) {
    const own = traitsIfAlive(pid, tid)
    if (own === undefined) continue
    const who = tid === pid ? 'it' : `its thread ${tid}`
    if (own.policy === SCHED_DEADLINE)
      refuse('THAW_DEADLINE', `${who} has a deadline (SCHED_DEADLINE), which is not carried. Set another policy.`)
    if (!sameClamps(own, ours))
      refuse('THAW_UTILIZATION', `${who} has utilization clamps of ${own.clamps.join(' to ')}, which are not carried.`)
    for (const [i, speculation] of own.speculation.entries())
      if (speculation !== ours.speculation[i])
        refuse('THAW_SPECULATION', `${who} has its speculation controlled (${SPECULATION[i]}: ${speculation}), which is not carried.`)
    if (own.cookie !== ours.cookie)
      refuse('THAW_CORE_COOKIE', `${who} shares its core with chosen others only (core scheduling), which is not carried.`)
  }
}

interface Traits {
  readonly policy: number
  readonly clamps: readonly [number, number]
  readonly speculation: readonly (string | undefined)[]
  readonly cookie: bigint
}

const SCHED_FIFO = 1
const SCHED_RR = 2
const SCHED_DEADLINE = 6
const RESET_ON_FORK = 0x4000_0000
/** In /proc/PID/status, of this thread and of what the machine can. */
const SPECULATION = ['Speculation_Store_Bypass', 'SpeculationIndirectBranch']

function traitsOf(pid: number, tid: number): Traits {
  const { policy, clamps } = readAttributes(tid)
  const status = readStatus(pid, tid)
  return { policy: policy & ~RESET_ON_FORK, clamps, speculation: SPECULATION.map((name) => status.get(name)), cookie: cookieOf(tid) }
}

function traitsIfAlive(pid: number, tid: number): Traits | undefined {
  try {
    return traitsOf(pid, tid)
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

/** The kernel gives those in real time a lower clamp of its own. */
function sameClamps({ policy, clamps: [least, most] }: Traits, ours: Traits): boolean {
  const expected = isRealTime(policy) ? leastInRealTime() : isRealTime(ours.policy) ? 0 : ours.clamps[0]
  return least === expected && most === ours.clamps[1]
}

const isRealTime = (policy: number): boolean => policy === SCHED_FIFO || policy === SCHED_RR

/** 0 on a kernel without uclamp, which tells of 0 for everything. */
function leastInRealTime(): number {
  try {
    return Number(readFileSync('/proc/sys/kernel/sched_util_clamp_min_rt_default', 'utf8'))
  } catch {
    return 0
  }
}

const PR_SCHED_CORE = 62
const PR_SCHED_CORE_GET = 0

/** 0 is none; also on machines and kernels without core scheduling, and where a task has just ended. */
function cookieOf(tid: number): bigint {
  const cookie = new BigUint64Array(1)
  try {
    native.syscall('prctl', [PR_SCHED_CORE, PR_SCHED_CORE_GET, tid, 0, new Uint8Array(cookie.buffer)])
  } catch (error) {
    if (!['ENODEV', 'EINVAL', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
  return cookie[0] ?? 0n
}
