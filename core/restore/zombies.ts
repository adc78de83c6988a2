/** Processes that have ended and wait to be reaped: forked, and ended again in the way they did. */
import type { ZombieModel } from '../image/model.js'
import type { Program } from '../program/program.js'
import { emitEnding } from '../resources/ending.js'
import { emitName } from '../resources/task-name.js'
import type { Member } from './family.js'
import type { Forks } from './forks.js'
import type { Groups } from './groups.js'

const P_PID = 1
const WEXITED = 4
const WNOWAIT = 0x0100_0000
const SIGCHLD = 17
const MASK_BYTES = 8

export function emitZombie(program: Program, member: Member, { status, name }: ZombieModel, groups: Groups, forks: Forks): void {
  if (member.leadsSession) program.for('session', () => program.call('setsid'))
  forks.emitOrphans(program, member)
  groups.emitLost(program, member)
  groups.emit(program, member)
  groups.emitEnds(program, member)
  emitName(program, name)
  emitEnding(program, status)
}

/** They have ended. @returns whether there are any */
export function emitZombiesEnds(program: Program, children: readonly Member[]): boolean {
  const zombies = children.filter(({ zombie }) => zombie !== undefined)
  for (const { pid } of zombies) program.for(`zombie ${pid}`, () => program.call('waitid', [P_PID, pid, 0, WEXITED | WNOWAIT, 0]))
  return zombies.length > 0
}

/** A default action that ignores the signal drops what is pending of it (sigaction(2)). */
export function emitForgottenEnds(program: Program): void {
  program.for('SIGCHLD', () => program.call('rt_sigaction', [SIGCHLD, program.bundle.words(0, 0, 0, 0), 0, MASK_BYTES]))
}
