/** The vDSO: a thread is not kept in the middle of it, where it may hold half of a clock reading. */
import { native } from '../../native/index.js'
import { stopped } from '../checkpoint/stop.js'
import { CheckpointError } from '../errors.js'
import type { MappingLine } from '../proc/maps.js'
import { get } from '../program/registers.js'
import type { Support } from './support.js'

export const support: Support = {
  topic: 'memory',
  carried: 'vDSO',
  conditions: [
    'A thread that is found in the vDSO is led out of it, instruction by instruction: if the dumper is killed in the microseconds that this takes, the process ends by SIGTRAP.',
  ],
}

/** Far more than the longest way through a vDSO function. */
const MOST_STEPS = 10_000
const SIGTRAP = 5

/**
 * Steps a frozen thread out of the vDSO, instruction by instruction. Signals are not blocked meanwhile, as a tracer that dies would leave
 * them so: one that comes is delivered, and its handler's first instruction is as good a place as any.
 *
 * @param stop the kind of stop that it was frozen in
 */
export function leaveVdso(tid: number, lines: readonly MappingLine[], stop: number): void {
  const vdso = lines.find(({ path }) => path === '[vdso]')
  if (vdso === undefined) return
  for (let steps = 0; steps < MOST_STEPS; steps++) {
    const rip = get(native.getRegisters(tid), 'rip')
    if (rip < vdso.start || rip >= vdso.end) {
      if (steps > 0) endSteps(tid, stop)
      return
    }
    const status = native.step(tid)
    if (status.kind !== 'stopped' || status.signal === SIGTRAP) continue
    native.interrupt(tid)
    native.resume(tid, status.signal)
    if (stopped(tid, stop)) return
  }
  endSteps(tid, stop)
  throw new CheckpointError('THAW_VDSO', `Cannot checkpoint thread ${tid}: it does not leave the vDSO.`, { pid: tid })
}

/** What is stepped once traps at each instruction until it is resumed: who is let go by a tracer's end is not, and dies of it. */
function endSteps(tid: number, stop: number): void {
  native.interrupt(tid)
  native.resume(tid)
  if (!stopped(tid, stop)) throw new CheckpointError('THAW_PROCESS_DIED', `Thread ${tid} was killed during the checkpoint.`, { pid: tid })
}
