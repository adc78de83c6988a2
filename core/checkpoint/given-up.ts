/** A checkpoint that has failed: what it has interrupted goes on, also in threads that it had not come to. */
import { closeSync, openSync } from 'node:fs'
import { native } from '../../native/index.js'
import { readMappings } from '../proc/maps.js'
import { unnoticed } from './going-on.js'
import type { SeizedProcess } from './seize.js'
import { timeLimitIn } from './threads.js'

/** Before it is released. A process that has died meanwhile is passed over. */
export function giveUp(seized: SeizedProcess): void {
  try {
    const memFd = openSync(`/proc/${seized.pid}/mem`, 'r+')
    try {
      const lines = readMappings(seized.pid)
      for (const tid of seized.tids) {
        const state = { tid, registers: native.getRegisters(tid) }
        const going = unnoticed(state, timeLimitIn(state, seized, memFd, lines), memFd)
        if (going !== state) native.setRegisters(tid, going.registers)
      }
    } finally {
      closeSync(memFd)
    }
  } catch {
    // Why the checkpoint has failed is the error to tell.
  }
}
