/** Which session a pseudo-terminal controls, and which process group is in its foreground (credentials(7), tty_ioctl(4)). */
import type { DescriptionModel, ImageModel } from '../../image/model.js'
import { innermost, readStat, readStatus } from '../../proc/status.js'
import { childrenOf, isOver } from '../../proc/tree.js'
import type { Emitter, SeenDescription, SeenTree } from '../description.js'
import type { Pty } from '../pty.js'
import { refusal } from '../refusal.js'
import type { PtyPair } from './numbers.js'
import { isOfTree } from '../tree-now.js'
import { askNumber, hasTerminal, sessionOf } from './seen-pty.js'
import type { SeenPty } from './seen-pty.js'

const TIOCSCTTY = 0x540e
const TIOCGPGRP = 0x540f
const TIOCSPGRP = 0x5410
const STAT_GROUP = 5 - 3
const STAT_SESSION = 6 - 3

/** As the tree numbers them; 0 for a terminal that controls none. */
export function collectControl({ master, number }: SeenPty, tree: SeenTree): Pick<PtyPair, 'session' | 'foreground'> {
  const session = sessionOf(master)
  if (session === undefined) return { session: 0, foreground: 0 }
  const leader = tree.processes.find(({ pid }) => pid === session)
  if (leader === undefined && isForkedSince(session, tree)) return { session, foreground: 0 }
  if (leader === undefined) throw refused(master, number, `a session that is led from outside the tree (pid ${session})`)
  const members = tree.processes.filter(({ pid }) => Number(readStat(pid)[STAT_SESSION]) === session)
  const without = members.find(({ pid }) => !hasTerminal(pid, number))
  if (without !== undefined)
    throw refused(master, number, `session ${session}, which pid ${without.pid} has left the terminal of (TIOCNOTTY)`)
  const foreground = askNumber(master, TIOCGPGRP) ?? 0
  const inFront = [...members.map(({ pid }) => pid), ...zombiesOf(tree)].find((pid) => groupOf(pid) === foreground)
  if (inFront === undefined && isForkedSince(foreground, tree)) return { session: leader.innerPid, foreground }
  if (inFront === undefined)
    throw refused(master, number, `session ${session}, with a process group in the foreground that has ended (${foreground})`)
  return { session: leader.innerPid, foreground: innermost(readStatus(inFront), 'NSpgid') }
}

/** Who leads the session makes it the terminal's, and puts a group in its foreground that must be there. */
export function verifyControl(
  { number, session, foreground }: PtyPair,
  { processes, zombies }: ImageModel,
  require: (fits: boolean, otherwise: string) => void,
): void {
  const isLed = processes.some(({ pid, sessionId }) => pid === session && sessionId === session)
  require(session === 0 || isLed, `tells of pseudo-terminal ${number}, which controls session ${session} of nobody`)
  const isThere = [...processes, ...zombies].some(({ groupId }) => groupId === foreground)
  require(foreground === 0 ||
    (session !== 0 && isThere), `tells of pseudo-terminal ${number}, with group ${foreground} of nobody in its foreground`)
}

/** A command that its shell has not heard the end of is in the foreground still. */
function zombiesOf({ processes }: SeenTree): number[] {
  const living = new Set(processes.map(({ pid }) => pid))
  return processes.flatMap(({ pid }) => childrenOf(pid)).filter((pid) => !living.has(pid) && isOver(pid))
}

/** Undefined for one that was reaped meanwhile. */
function groupOf(pid: number): number | undefined {
  try {
    return Number(readStat(pid)[STAT_GROUP])
  } catch {
    return undefined
  }
}

/** As each command of a shell is, while the tree runs. */
const isForkedSince = (pid: number, tree: SeenTree): boolean => !tree.frozen && pid !== 0 && isOfTree(pid, tree)

const refused = (master: SeenDescription, number: number, what: string): Error =>
  refusal(master, 'THAW_PTY_SESSION', `is the master of pseudo-terminal ${number}, which controls ${what}`, 'Close it in the warm-up.')

/** In the leader of a session, before it forks who is in it: a terminal is inherited. The leader's group is in the foreground then. */
export function emitControl(emitter: Emitter, descriptions: readonly DescriptionModel[], pid: number): void {
  for (const { id } of terminalsOf(descriptions, pid))
    emitter.program.for('controlling terminal', () => emitter.program.call('ioctl', [emitter.descriptorOf(id), TIOCSCTTY, 0]))
}

/** In the leader, once all groups are there. */
export function emitForeground(emitter: Emitter, descriptions: readonly DescriptionModel[], pid: number): void {
  const { program, bundle } = emitter
  for (const { id, foreground } of terminalsOf(descriptions, pid))
    if (foreground !== pid)
      program.for('foreground process group', () =>
        program.call('ioctl', [emitter.descriptorOf(id), TIOCSPGRP, bundle.bytes(new Uint8Array(Int32Array.of(foreground).buffer))]),
      )
}

/** By their masters, through which the other end is asked for all of this. */
function terminalsOf(descriptions: readonly DescriptionModel[], session: number): { id: number; foreground: number }[] {
  return descriptions.flatMap(({ id, kind, payload }) => {
    if (kind !== 'pty') return []
    const { number, settings, pairs } = payload as Pty
    const pair = pairs.find((one) => one.number === number)
    return settings !== null && pair?.session === session ? [{ id, foreground: pair.foreground }] : []
  })
}
