/**
 * Syscall User Dispatch (prctl(2), PR_SET_SYSCALL_USER_DISPATCH): a thread that has its calls sent back to itself as SIGSYS, as Wine has
 * those of Windows programs. A parasite's calls would be sent to it, too.
 */
import { native } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import { field, readStatus } from '../proc/status.js'
import type { Support } from '../resources/support.js'

export const support: Support = {
  topic: 'task',
  refused: { THAW_USER_DISPATCH: 'threads whose system calls are sent back to them (Syscall User Dispatch, as under Wine)' },
}

/** Since Linux 6.4. */
const PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG = 0x4211
/** struct ptrace_sud_config, whose first word is the mode: 0 is off. */
const CONFIG_BYTES = 32

/**
 * Of threads in ptrace-stop, before they are made to perform calls: nobody else is told. Dispatch could be suspended only by turning it
 * off, which a dumper that is killed would leave it.
 *
 * @throws UnsupportedError THAW_USER_DISPATCH
 */
export function refuseUserDispatch(pid: number, tids: readonly number[]): void {
  const tid = tids.find(isDispatched)
  if (tid === undefined) return
  const who = tid === pid ? 'it' : `its thread ${tid}`
  throw new UnsupportedError(
    'THAW_USER_DISPATCH',
    `Cannot checkpoint pid ${pid} (${field(readStatus(pid), 'Name')}): ${who} has its system calls sent back to it (Syscall User Dispatch, as under Wine), which is not carried. Turn that off before the checkpoint.`,
    { pid },
  )
}

function isDispatched(tid: number): boolean {
  const config = new BigUint64Array(CONFIG_BYTES / 8)
  const bytes = new Uint8Array(config.buffer)
  try {
    native.syscall('ptrace', [PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, tid, CONFIG_BYTES, bytes])
  } catch (error) {
    // It was killed, which others find out.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
  return config[0] !== 0n
}
