/** NUMA memory policies (set_mempolicy(2), mbind(2)), of threads and of mappings: not carried. */
import { closeSync, openSync, readFileSync, readSync, readdirSync } from 'node:fs'
import { UnsupportedError } from '../errors.js'
import type { SeenProcess } from './description.js'
import type { Support } from './support.js'

export const support: Support = { topic: 'memory', refused: { THAW_MEMORY_POLICY: 'memory policies' } }

/** `7f5c1a2b3000 interleave:0-1 anon=2 …` */
const POLICY = /^[0-9a-f]+ (?!default\b)(\S+)/m

/**
 * A mapping without a policy of its own is listed with that of the thread whose file it is, so the beginning is enough of any thread's but
 * the leader's. Expensive, as the kernel looks at every page: not while the process stands still. @throws UnsupportedError
 */
export function refuseMemoryPolicies({ pid, name }: SeenProcess): void {
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    const policy = POLICY.exec(numaMaps(`/proc/${pid}/task/${tid}/numa_maps`, Number(tid) === pid))?.[1]
    if (policy === undefined) continue
    throw new UnsupportedError(
      'THAW_MEMORY_POLICY',
      `Cannot checkpoint pid ${pid} (${name}): thread ${tid} or its memory has the NUMA policy ${policy}, which is not carried. Start it without numactl.`,
      { pid },
    )
  }
}

const BEGINNING_BYTES = 4096

function numaMaps(path: string, whole: boolean): string {
  try {
    return whole ? readFileSync(path, 'utf8') : beginning(path)
  } catch {
    return '' // this kernel has no NUMA, or the thread has ended
  }
}

function beginning(path: string): string {
  const fd = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(BEGINNING_BYTES)
    return bytes.toString('latin1', 0, readSync(fd, bytes))
  } finally {
    closeSync(fd)
  }
}
