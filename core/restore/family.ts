/**
 * Who forks whom, and when, so that every process ends up with its parent, session and group (credentials(7)). A process is born into the
 * session of the one that forks it, and leaves it only to lead one of its own. So
 *
 * - children that stayed in the session that their parent left are forked before it leaves;
 * - orphans, children of whoever adopted them, are forked by the leader of their session as its siblings (CLONE_PARENT), or, where only init
 *   can have adopted them, by a child of the leader that ends;
 * - where that leader is gone, a founder with its pid leads the session, forks them as its siblings, and ends.
 */
import { UnsupportedError } from '../errors.js'
import type { ProcessModel, ZombieModel } from '../image/model.js'
import { Refusals } from '../resources/refusal.js'
import type { Support } from '../resources/support.js'

export const support: Support = {
  topic: 'task',
  conditions: ['Orphans, and zombies, are listed elsewhere among the children of their parent (/proc/PID/task/TID/children).'],
  refused: {
    THAW_SESSION: 'orphans adopted by a process other than init, of a session whose leader has another parent',
    THAW_GROUP: "leaders of process groups in each other's groups",
  },
}

/** What a task is to others, by the ids that its own namespace has for them. The parent of processes without one in the tree is 0. */
export type Related = Pick<ZombieModel, 'pid' | 'parentPid' | 'groupId' | 'sessionId'>

export interface Relations<Process extends Related = Related, Zombie extends Related = Related> {
  readonly processes: readonly Process[]
  readonly zombies: readonly Zombie[]
}

export interface Member<Process extends Related = ProcessModel, Zombie extends Related = ZombieModel> {
  readonly pid: number
  /** 0 for a child of the sandbox's init. */
  readonly parentPid: number
  readonly groupId: number
  /** Undefined for a zombie. */
  readonly process: Process | undefined
  readonly zombie: Zombie | undefined
  readonly leadsSession: boolean
  /** Forked before it leads a session of its own, and after. Children of its own or, if their parent is another, its siblings. */
  readonly elder: readonly Member<Process, Zombie>[]
  readonly younger: readonly (Member<Process, Zombie> | Founder<Process, Zombie>)[]
  /** Members of the session that it leads which init has adopted. */
  readonly orphans: readonly Member<Process, Zombie>[]
  /** Process groups whose leader is gone: this member has them founded by a process that ends again. */
  readonly lostGroups: readonly number[]
}

/** Of a session whose leader is gone. */
export interface Founder<Process extends Related = ProcessModel, Zombie extends Related = ZombieModel> {
  /** The session, and the process that founds it. */
  readonly pid: number
  /** That of all it forks, too. */
  readonly parentPid: number
  readonly members: readonly Member<Process, Zombie>[]
}

export interface Family<Process extends Related = ProcessModel, Zombie extends Related = ZombieModel> {
  readonly first: Member<Process, Zombie>
  /** The session of the first process, when its leader is gone: whoever forks the first has its pid, leads it and ends. */
  readonly lostSession: number | undefined
  /** All sessions whose leaders are gone. */
  readonly founded: ReadonlySet<number>
}

/** @throws UnsupportedError THAW_SESSION when a process cannot have come by its session as far as the tree shows, THAW_GROUP */
export function familyOf<Process extends Related, Zombie extends Related>(tree: Relations<Process, Zombie>): Family<Process, Zombie> {
  const [first] = tree.processes
  if (first === undefined) throw new Error('an image without a process')
  const refusals = new Refusals()
  refusals.gather(() => refuseExchanged(tree))
  const births = new Births<Process | Zombie>(tree, first, refusals)
  refusals.throw()
  return {
    first: memberOf(first, tree, births, lostGroupsOf(tree, births.founded)),
    lostSession: births.founded.has(first.sessionId) ? first.sessionId : undefined,
    founded: births.founded,
  }
}

function memberOf<Process extends Related, Zombie extends Related>(
  task: Process | Zombie,
  tree: Relations<Process, Zombie>,
  births: Births<Process | Zombie>,
  lostGroups: ReadonlyMap<number, number[]>,
): Member<Process, Zombie> {
  const member = (forked: Process | Zombie): Member<Process, Zombie> => memberOf(forked, tree, births, lostGroups)
  const { elder, younger, orphans } = births.by(task)
  return {
    pid: task.pid,
    parentPid: task.parentPid,
    groupId: task.groupId,
    process: tree.processes.find((process) => process === task),
    zombie: tree.zombies.find((zombie) => zombie === task),
    leadsSession: leads(task),
    elder: elder.map(member),
    younger: younger.map((one) => ('tasks' in one ? { ...one, members: one.tasks.map(member) } : member(one))),
    orphans: orphans.map(member),
    lostGroups: lostGroups.get(task.pid) ?? [],
  }
}

const leads = ({ pid, sessionId }: Related): boolean => sessionId === pid

interface Founding<Task> {
  readonly pid: number
  readonly parentPid: number
  readonly tasks: Task[]
}

/** In the order in which their parents find them. */
interface Forked<Task> {
  readonly elder: Task[]
  readonly younger: (Task | Founding<Task>)[]
  readonly orphans: Task[]
}

/** What the first process is born into when it will lead a session itself: the engine's, which nobody of the tree is in. */
const NO_SESSION = -1

class Births<Task extends Related> {
  readonly founded = new Set<number>()
  readonly #first: Task
  readonly #children = new Map<number, Task[]>()
  readonly #leaders = new Map<number, Task>()
  readonly #processes: ReadonlySet<Task>
  readonly #forked = new Map<Task, Forked<Task>>()
  readonly #refusals: Refusals

  constructor({ processes, zombies }: Relations<Task, Task>, first: Task, refusals: Refusals) {
    this.#first = first
    this.#processes = new Set(processes)
    this.#refusals = refusals
    for (const task of [...processes, ...zombies]) {
      this.#children.set(task.parentPid, [...(this.#children.get(task.parentPid) ?? []), task])
      if (leads(task)) this.#leaders.set(task.pid, task)
    }
    if (!leads(first)) {
      if (this.#leaders.has(first.sessionId)) refusals.add(lost(first))
      this.founded.add(first.sessionId)
    }
    this.#place(first, leads(first) ? NO_SESSION : first.sessionId)
  }

  by(task: Task): Forked<Task> {
    const known = this.#forked.get(task) ?? { elder: [], younger: [], orphans: [] }
    this.#forked.set(task, known)
    return known
  }

  /** Those that a process is to fork, and those that they are to. @param birth the session that it was born into */
  #place(task: Task, birth: number): void {
    const siblings = task === this.#first ? this.#childrenOf(0).filter((other) => other !== task) : []
    for (const child of this.#childrenOf(task.pid)) this.#placeOne(child, task, birth)
    for (const sibling of siblings) this.#placeOne(sibling, task, task.sessionId)
  }

  #placeOne(child: Task, forker: Task, birth: number): void {
    const born = leads(child) ? this.#birthOfLeader(child, forker, birth) : child.sessionId
    const leader = this.#leaders.get(born)
    if (born === forker.sessionId) this.by(forker).younger.push(child)
    else if (leads(forker) && born === birth) this.by(forker).elder.push(child)
    // Who reaps a zombie waits for it to end, having forked it.
    else if (!this.#processes.has(child)) this.#refusals.add(lost(child))
    else if (leader !== undefined && this.#processes.has(leader) && leader.parentPid === child.parentPid)
      this.by(leader).younger.push(child)
    else if (leader !== undefined && child.parentPid === 0) this.by(leader).orphans.push(child)
    else if (leader !== undefined || !this.#found(born, forker, child)) this.#refusals.add(lost(child))
    this.#place(child, born)
  }

  /** Its own leaves it the choice, unless it has children that stayed where it was born. */
  #birthOfLeader(child: Task, forker: Task, birth: number): number {
    const stayed = new Set(this.#childrenOf(child.pid).flatMap((other) => (leads(other) ? [] : other.sessionId)))
    return !stayed.has(forker.sessionId) && leads(forker) && stayed.has(birth) ? birth : forker.sessionId
  }

  /** Once in all: its pid is not free again as long as anybody is in it. @returns whether that can be */
  #found(session: number, forker: Task, child: Task): boolean {
    const { younger } = this.by(forker)
    const founding = younger.find((one) => 'tasks' in one && one.pid === session) as Founding<Task> | undefined
    if (founding !== undefined) return founding.tasks.push(child) > 0
    if (this.founded.has(session)) return false
    this.founded.add(session)
    younger.push({ pid: session, parentPid: child.parentPid, tasks: [child] })
    return true
  }

  #childrenOf(pid: number): readonly Task[] {
    return this.#children.get(pid) ?? []
  }
}

/** Groups whose leader is gone, by the first process that is in each. @param founded sessions whose group comes with them */
function lostGroupsOf({ processes, zombies }: Relations, founded: ReadonlySet<number>): Map<number, number[]> {
  const pids = new Set([...processes, ...zombies].map(({ pid }) => pid))
  const seen = new Set<number>()
  const lostGroups = new Map<number, number[]>()
  // Who lives on rather than a zombie, which has to be there until all have joined.
  for (const { pid, groupId } of [...processes, ...zombies]) {
    if (pids.has(groupId) || seen.has(groupId) || founded.has(groupId)) continue
    seen.add(groupId)
    lostGroups.set(pid, [...(lostGroups.get(pid) ?? []), groupId])
  }
  return lostGroups
}

const lost = ({ pid, sessionId }: Related): UnsupportedError =>
  new UnsupportedError(
    'THAW_SESSION',
    `Cannot carry pid ${pid}: it is in session ${sessionId}, which neither it nor a process that could fork it has led. Have it begin a session of its own (setsid).`,
    { pid },
  )

/**
 * A leader that has moved to another group founds its own first and waits until all that stayed have joined: leaders that have moved into
 * each other's groups would wait for each other.
 */
function refuseExchanged({ processes, zombies }: Relations): void {
  const tasks = new Map([...processes, ...zombies].map((task) => [task.pid, task]))
  for (const start of tasks.values()) {
    const passed = new Set<number>()
    for (let at: Related | undefined = start; at !== undefined && at.groupId !== at.pid; at = tasks.get(at.groupId)) {
      if (passed.has(at.pid))
        throw new UnsupportedError(
          'THAW_GROUP',
          `Cannot carry pid ${at.pid}: it has left the process group that it led for that of a leader which is in its own. Have it move to a group of its own (setpgid).`,
          { pid: at.pid },
        )
      passed.add(at.pid)
    }
  }
}

export const isFounder = <Process extends Related, Zombie extends Related>(
  one: Member<Process, Zombie> | Founder<Process, Zombie>,
): one is Founder<Process, Zombie> => 'members' in one

/** Whom it forks, or has forked by a founder. */
export const forkedBy = <Process extends Related, Zombie extends Related>({
  elder,
  younger,
  orphans,
}: Member<Process, Zombie>): Member<Process, Zombie>[] => [
  ...elder,
  ...younger.flatMap((one) => (isFounder(one) ? one.members : one)),
  ...orphans,
]

/** All members, those that fork before those that they fork. */
export function* membersOf(member: Member): Generator<Member> {
  yield member
  for (const child of forkedBy(member)) yield* membersOf(child)
}
