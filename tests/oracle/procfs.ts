/** Reading /proc as another process sees it from outside. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export const PAGE_SIZE = 4096

/** The text of a file below /proc; `undefined` when it is gone or this kernel has no such file. */
export function readText(path: string, encoding: BufferEncoding = 'utf8'): string | undefined {
  try {
    return readFileSync(path, encoding)
  } catch {
    return undefined
  }
}

/** The target of a link below /proc, or the error's code when it has none. */
export function readLink(path: string): string {
  try {
    return readlinkSync(path)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}

/** `Name: value` lines, by name. */
export function parseFields(text: string): Map<string, string> {
  const fields = new Map<string, string>()
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim())
  }
  return fields
}

/** The thread ids of a process in the caller's numbers, ascending, but for those that the kernel itself has put there. */
export function threadsOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`)
    .map(Number)
    .filter((tid) => !isKernelWorker(`/proc/${pid}/task/${tid}`))
    .toSorted((a, b) => a - b)
}

/** PF_IO_WORKER and PF_USER_WORKER of include/linux/sched.h: they come and go as io_uring and vhost need them. */
const KERNEL_WORKER = 0x10 | 0x4000

function isKernelWorker(path: string): boolean {
  return (Number(statFields(readText(`${path}/stat`) ?? '')[9 - 3]) & KERNEL_WORKER) !== 0
}

/** The fields of /proc/PID/stat from number 3 on; the second, the command, may itself hold spaces and parentheses. */
export function statFields(stat: string): string[] {
  return stat
    .slice(stat.lastIndexOf(')') + 2)
    .trim()
    .split(' ')
}

/** A process and all its descendants in the caller's numbers, parents first. */
export function treeOf(root: number): number[] {
  const tree = [root]
  for (const pid of tree) {
    for (const tid of threadsOf(pid)) {
      const children = readText(`/proc/${pid}/task/${tid}/children`) ?? ''
      tree.push(...children.split(' ').filter(Boolean).map(Number))
    }
  }
  return tree
}

/** The number that a task has in its own pid namespace: the last of its `NSpid` line. */
export function innermostPid(path: string): number {
  const fields = parseFields(readText(`${path}/status`) ?? '')
  return innermost(fields.get('NSpid') ?? '')
}

export function innermost(numbers: string): number {
  return Number(numbers.split(/\s+/).at(-1))
}
