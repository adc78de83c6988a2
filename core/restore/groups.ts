/**
 * Process groups (setpgid(2)). A group is founded by its leader and joined by the others, in whatever order they come; where the leader is
 * gone, a process with its pid founds the group and ends when all have joined.
 */
import type { Program } from '../program/program.js'
import { membersOf } from './family.js'
import type { Member } from './family.js'
import { emitLifeline } from './lifeline.js'
import type { Planning } from './planning.js'
import { cloneArgs, CLONE_ARGS_BYTES } from './spawning.js'

const SIGCHLD = 17
const WALL = 0x4000_0000

interface Group {
  /** Becomes 1 when it is founded; counts who joined a group whose leader is gone. */
  readonly founded: bigint
  readonly joined: bigint
  readonly size: number
}

export class Groups {
  readonly #planning: Planning
  readonly #groups = new Map<number, Group>()

  constructor(planning: Planning) {
    this.#planning = planning
    const { family, shared } = planning
    const members = [...membersOf(family.first)]
    for (const id of new Set(members.map(({ groupId }) => groupId))) {
      // The group of a session that is founded is there from the start.
      if (family.founded.has(id) || (members.length === 1 && id === family.first.pid)) continue
      this.#groups.set(id, { founded: shared.word(), joined: shared.word(), size: members.filter(({ groupId }) => groupId === id).length })
    }
  }

  /** After the forks: has somebody found the groups whose leaders are gone. */
  emitLost(program: Program, { pid, lostGroups }: Member): void {
    const { bundle, failed } = this.#planning
    for (const id of lostGroups) {
      const group = this.#groups.get(id)
      if (group === undefined) continue
      const founder = bundle.program(`group ${id}`, failed.instance)
      program.for(`group ${id}`, () =>
        program.spawn(founder, cloneArgs(this.#planning, { flags: 0, pid: id, exitSignal: SIGCHLD }), CLONE_ARGS_BYTES),
      )
      emitLifeline(founder, this.#planning, pid)
      founder.call('setpgid', [0, 0])
      founder.add(group.founded, 1)
      founder.waitFor(group.joined, group.size)
      founder.call('exit_group', [0])
    }
  }

  /** Founds or joins. Who leads a session leads a group already. A leader that has moved to another group founds its own, for those that stayed. */
  emit(program: Program, { pid, groupId, leadsSession }: Member): void {
    const group = this.#groups.get(groupId)
    const left = groupId === pid ? undefined : this.#groups.get(pid)
    program.for('process group', () => {
      if (left !== undefined) {
        program.call('setpgid', [0, 0])
        program.add(left.founded, 1)
        program.waitFor(left.joined, left.size)
      }
      if (group === undefined) {
        if (!leadsSession) program.call('setpgid', [0, groupId])
      } else if (groupId === pid) {
        if (!leadsSession) program.call('setpgid', [0, 0])
        program.add(group.founded, 1)
      } else {
        program.waitFor(group.founded, 1)
        program.call('setpgid', [0, groupId])
        program.add(group.joined, 1, group.size)
      }
    })
  }

  /** Who was forked to found a group has ended. @returns whether there was anybody */
  emitEnds(program: Program, { lostGroups }: Member): boolean {
    for (const id of lostGroups) program.for(`group ${id}`, () => program.call('wait4', [id, 0, WALL, 0]))
    return lostGroups.length > 0
  }
}
