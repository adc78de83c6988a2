/** Processes that share, without being threads, what each process otherwise has for itself: clone(2) with CLONE_VM, CLONE_FILES or CLONE_FS; vfork(2). */
import { native } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import type { SeenProcess } from '../resources/description.js'
import type { Support } from '../resources/support.js'

export const support: Support = { topic: 'task', refused: { THAW_SHARED_TASK: 'tasks that share memory or tables without being threads' } }

/** kcmp(2). */
const kinds = [
  { kind: 1, what: 'its memory', advice: 'If it waits in vfork, checkpoint it when it has gone on.' },
  { kind: 2, what: 'its descriptor table', advice: 'Start it without CLONE_FILES.' },
  { kind: 3, what: 'its working directory and root', advice: 'Start it without CLONE_FS.' },
] as const

const SAME = 0
const LESS = 1

/** The first pair for each kind. @throws UnsupportedError THAW_SHARED_TASK */
export function* sharedTasks(processes: readonly SeenProcess[]): Generator<UnsupportedError> {
  for (const { kind, what, advice } of kinds) {
    const compare = (a: SeenProcess, b: SeenProcess): number => {
      const order = kcmp(a.pid, b.pid, kind)
      return order === SAME ? 0 : order === LESS ? -1 : 1
    }
    const sorted = [...processes].sort(compare)
    const i = sorted.findIndex((process, at) => at > 0 && compare(sorted[at - 1] ?? process, process) === 0)
    const [one, other] = [sorted[i - 1], sorted[i]]
    if (one !== undefined && other !== undefined) yield shared(one, other, what, advice)
  }
}

/** The kernel orders what it compares, so that many can be sorted. One that has ended meanwhile shares nothing. */
function kcmp(a: number, b: number, kind: number): number {
  try {
    return native.kcmp(a, b, kind, 0, 0)
  } catch {
    return a < b ? LESS : LESS + 1
  }
}

const shared = ({ pid, name }: SeenProcess, other: SeenProcess, what: string, advice: string): UnsupportedError =>
  new UnsupportedError(
    'THAW_SHARED_TASK',
    `Cannot checkpoint pid ${pid} (${name}): it shares ${what} with pid ${other.pid} (${other.name}) without being a thread of it, which is not carried. ${advice}`,
    { pid },
  )
