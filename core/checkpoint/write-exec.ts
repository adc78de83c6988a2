/** Processes that may not have memory that can be both written and executed, which a parasite needs: prctl(2), PR_SET_MDWE; SELinux's execmem. */
import { CheckpointError, UnsupportedError } from '../errors.js'
import { field, readStatus } from '../proc/status.js'
import type { Support } from '../resources/support.js'

export const support: Support = {
  topic: 'task',
  refused: { THAW_WRITE_EXEC: 'processes that may not map memory to write and execute (PR_SET_MDWE, SELinux)' },
}

const EACCES = 13

/** Nothing outside the process tells, so that it is found out in the freeze. @throws UnsupportedError THAW_WRITE_EXEC, or what `map` throws */
export function mapWriteExec(map: () => void): void {
  try {
    map()
  } catch (error) {
    if (error instanceof CheckpointError && error.errno === EACCES && error.pid !== undefined) throw refused(error, error.pid)
    throw error
  }
}

function refused(cause: CheckpointError, tid: number): UnsupportedError {
  const status = readStatus(tid)
  const pid = Number(field(status, 'Tgid'))
  return new UnsupportedError(
    'THAW_WRITE_EXEC',
    `Cannot checkpoint pid ${pid} (${field(status, 'Name')}): it may not map memory that can be written and executed (PR_SET_MDWE, SELinux), which is not carried. Start it without (systemd: MemoryDenyWriteExecute=no).`,
    { pid, cause },
  )
}
