/**
 * Memory of one more copy: what goes back to the system when it ends, as far as that can be told exactly.
 *
 * That is the private memory of its processes (pages that it wrote to, or made) and their page tables. What it shares with the template
 * is there anyway. The drop of MemAvailable, over several copies, would also count the kernel's own objects (namespaces, thread stacks,
 * descriptors: some hundred kilobytes), but everything else that the machine does meanwhile, too.
 */
import { readdirSync, readFileSync } from 'node:fs'

/** @param initPid pid 1 of the copy's sandbox, as this process sees it */
export function memoryBelow(initPid: number): number {
  return processesFrom(initPid).reduce((sum, pid) => sum + privateBytes(pid) + pageTableBytes(pid), 0)
}

function processesFrom(pid: number): number[] {
  const threads = readdirSync(`/proc/${pid}/task`)
  const children = threads.flatMap((tid) =>
    readFileSync(`/proc/${pid}/task/${tid}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  )
  return [pid, ...children.flatMap(processesFrom)]
}

const privateBytes = (pid: number): number => kilobytes(`/proc/${pid}/smaps_rollup`, /^Private_(?:Clean|Dirty|Hugetlb):/)
const pageTableBytes = (pid: number): number => kilobytes(`/proc/${pid}/status`, /^VmPTE:/)

function kilobytes(path: string, field: RegExp): number {
  const lines = readFileSync(path, 'utf8').split('\n')
  const values = lines.filter((line) => field.test(line)).map((line) => Number(line.match(/(\d+) kB/)?.[1] ?? 0))
  return values.reduce((sum, value) => sum + value * 1024, 0)
}
