/**
 * Who forks whom, and when, so that every process ends up with its parent, session and group (credentials(7)). A process is born into its
 * parent's session and leaves it only to lead one of its own; so children that stayed in the session that their parent left are
 * forked before it leaves.
 */
import { UnsupportedError } from '../errors.js'
import type { ImageModel, ProcessModel, ZombieModel } from '../image/model.js'
import type { Support } from '../resources/support.js'

export const support: Support = {
  topic: 'task',
  refused: { THAW_SESSION: 'sessions that no way of the tree leads to', THAW_GROUP: "leaders of process groups in each other's groups" },
}

export interface Member {
  readonly pid: number
  readonly groupId: number
  /** Undefined for a zombie. */
  readonly process: ProcessModel | undefined
  readonly zombie: ZombieModel | undefined
  /** A child of the same parent as the one that forks it: processes without a parent in the tree are children of the sandbox's init. */
  readonly isSibling: boolean
  readonly leadsSession: boolean
  /** Forked before it leads a session of its own, and after. */
  readonly elder: readonly Member[]
  readonly younger: readonly Member[]
  /** Process groups whose leader is gone: this member has them founded by a process that ends again. */
  readonly lostGroups: readonly number[]
}

export interface Family {
  readonly first: Member
  /** The session of the first process, when its leader is gone: whoever forks the first has its pid, leads it and ends. */
  readonly lostSession: number | undefined
}

type Task = Pick<ProcessModel, 'pid' | 'parentPid' | 'groupId' | 'sessionId'>
type Tree = Pick<ImageModel, 'processes' | 'zombies'>

/** @throws UnsupportedError THAW_SESSION when a process cannot have come by its session as far as the tree shows, THAW_GROUP */
export function familyOf(tree: Tree): Family {
  const [first] = tree.processes
  if (first === undefined) throw new Error('an image without a process')
  refuseExchanged(tree)
  const leads = first.sessionId === first.pid
  const lostGroups = lostGroupsOf(tree, leads ? undefined : first.sessionId)
  const others = tree.processes.filter((process) => process.parentPid === 0 && process !== first)
  const inherited = leads ? NO_SESSION : first.sessionId
  return {
    first: memberOf(first, inherited, tree, lostGroups, { isSibling: false, more: others }),
    lostSession: leads ? undefined : first.sessionId,
  }
}

/** What the first process is born into when it will lead a session itself: the engine's, which nobody of the tree is in. */
const NO_SESSION = -1

/** @param birth the session that the process that forks it is in at that time */
function memberOf(
  task: ProcessModel | ZombieModel,
  birth: number,
  tree: Tree,
  lostGroups: ReadonlyMap<number, number[]>,
  { isSibling, more = [] }: { isSibling: boolean; more?: readonly ProcessModel[] },
): Member {
  const leadsSession = task.sessionId === task.pid
  if (!leadsSession && task.sessionId !== birth) throw lost(task)
  const children = [...tree.processes, ...tree.zombies].filter(({ parentPid }) => parentPid === task.pid)
  const isElder = (child: Task): boolean => leadsSession && child.sessionId !== task.pid && child.sessionId !== child.pid
  const fork = (child: ProcessModel | ZombieModel, asSibling: boolean): Member =>
    memberOf(child, isElder(child) ? birth : task.sessionId, tree, lostGroups, { isSibling: asSibling })
  const born = [...children.map((child) => ({ child, asSibling: false })), ...more.map((child) => ({ child, asSibling: true }))]
  return {
    pid: task.pid,
    groupId: task.groupId,
    process: 'threads' in task ? task : undefined,
    zombie: 'threads' in task ? undefined : task,
    isSibling,
    leadsSession,
    elder: born.filter(({ child }) => isElder(child)).map(({ child, asSibling }) => fork(child, asSibling)),
    younger: born.filter(({ child }) => !isElder(child)).map(({ child, asSibling }) => fork(child, asSibling)),
    lostGroups: lostGroups.get(task.pid) ?? [],
  }
}

/** Groups whose leader is gone, by the first process that is in each. @param founded the group of a lost session, which comes with it */
function lostGroupsOf({ processes, zombies }: Tree, founded: number | undefined): Map<number, number[]> {
  const pids = new Set([...processes, ...zombies].map(({ pid }) => pid))
  const seen = new Set<number>()
  const lostGroups = new Map<number, number[]>()
  // Who lives on rather than a zombie, which has to be there until all have joined.
  for (const { pid, groupId } of [...processes, ...zombies]) {
    if (pids.has(groupId) || seen.has(groupId) || groupId === founded) continue
    seen.add(groupId)
    lostGroups.set(pid, [...(lostGroups.get(pid) ?? []), groupId])
  }
  return lostGroups
}

const lost = ({ pid, sessionId }: Task): UnsupportedError =>
  new UnsupportedError(
    'THAW_SESSION',
    `Cannot carry pid ${pid}: it is in session ${sessionId}, which neither it nor the process that would have to fork it has led. Have it begin a session of its own (setsid).`,
    { pid },
  )

/**
 * A leader that has moved to another group founds its own first and waits until all that stayed have joined: leaders that have moved into
 * each other's groups would wait for each other.
 */
function refuseExchanged({ processes, zombies }: Tree): void {
  const tasks = new Map([...processes, ...zombies].map((task) => [task.pid, task]))
  for (const start of tasks.values()) {
    const passed = new Set<number>()
    for (let at: Task | undefined = start; at !== undefined && at.groupId !== at.pid; at = tasks.get(at.groupId)) {
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

/** All members, those that fork before those that they fork. */
export function* membersOf(member: Member): Generator<Member> {
  yield member
  for (const child of [...member.elder, ...member.younger]) yield* membersOf(child)
}
