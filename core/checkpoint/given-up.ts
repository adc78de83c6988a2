/** A checkpoint that has failed: what it has interrupted goes on, also in threads that it had not come to. */
import { closeSync, openSync } from 'node:fs'
import { native } from '../../native/index.js'
import { readMappings } from '../proc/maps.js'
import { restartedByKernel } from '../program/registers.js'
import { unnoticed } from './going-on.js'
import type { ThreadState } from './injection.js'
import type { SeizedProcess } from './seize.js'
import { timeLimitIn } from './threads.js'

/** Before it is released. A process that has died meanwhile is passed over. */
export function giveUp(seized: SeizedProcess): void {
  try {
    const interrupted = seized.tids
      .map((tid) => ({ tid, registers: native.getRegisters(tid) }))
      .filter(({ registers }) => restartedByKernel(registers, true) !== registers)
    if (interrupted.length > 0) goOn(seized, interrupted)
  } catch {
    // Why the checkpoint has failed is the error to tell.
  }
}

function goOn(seized: SeizedProcess, interrupted: readonly Pick<ThreadState, 'tid' | 'registers'>[]): void {
  const memFd = openSync(`/proc/${seized.pid}/mem`, 'r+')
  try {
    const lines = readMappings(seized.pid)
    for (const state of interrupted) {
      const going = unnoticed(state, timeLimitIn(state, seized, memFd, lines), memFd)
      if (going !== state) native.setRegisters(state.tid, going.registers)
    }
  } finally {
    closeSync(memFd)
  }
}
