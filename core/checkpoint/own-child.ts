/** Children that Node waits for in this very process: what it waits for is not a tracer's to wait for, too. */
import { UnsupportedError } from '../errors.js'
import { field, readStatus } from '../proc/status.js'
import type { Support } from '../resources/support.js'
import type { TreeRoot } from './tree.js'

export const support: Support = {
  topic: 'task',
  refused: { THAW_OWN_CHILD: 'children that the process which calls `checkpoint` has started by `node:child_process`' },
}

/**
 * With SIGCHLD, libuv waits for each of its children, and in any thread of a process waitpid(2) hands out the stops of what another one traces: the
 * checkpoint would wait for good for a stop that was taken from it, and Node would take that for an end. Asked of Node itself, since other children are
 * nobody's: those that the engine has forked, or that this process has adopted.
 *
 * @throws UnsupportedError THAW_OWN_CHILD
 */
export function refuseOwnChild(root: TreeRoot): void {
  if (typeof root !== 'number' || !isChild(root) || !isAwaited(root, report())) return
  throw new UnsupportedError(
    'THAW_OWN_CHILD',
    `Cannot checkpoint pid ${root}: it was started by node:child_process of this very process, which waits for it, too. Start it in a sandbox (Sandbox.start) or by a shell that ends (sh -c 'setsid COMMAND &'), or checkpoint it from another process (thaw dump).`,
    { pid: root },
  )
}

function isChild(pid: number): boolean {
  try {
    return Number(field(readStatus(pid), 'PPid')) === process.pid
  } catch {
    // That it is gone is told by who looks at it.
    return false
  }
}

/** What libuv has open, in this thread and in the workers below it. */
interface Report {
  readonly libuv: readonly { readonly type: string; readonly pid?: number }[]
  readonly workers?: readonly Report[]
}

function report(): Report {
  const settings = process.report as NodeJS.ProcessReport & { excludeNetwork: boolean }
  const { excludeNetwork } = settings
  // It would look up the names of all addresses.
  settings.excludeNetwork = true
  try {
    return settings.getReport() as Report
  } finally {
    settings.excludeNetwork = excludeNetwork
  }
}

const isAwaited = (child: number, { libuv, workers = [] }: Report): boolean =>
  libuv.some(({ type, pid }) => type === 'process' && pid === child) || workers.some((worker) => isAwaited(child, worker))
