/** Children that have ended and wait to be reaped, as they are found. */
import { readlinkSync } from 'node:fs'
import { UnsupportedError } from '../errors.js'
import type { ZombieModel } from '../image/model.js'
import { field, innermost, readStat, readStatus } from '../proc/status.js'
import type { SeenProcess } from '../resources/description.js'
import { hasDumpedCore } from '../resources/ending.js'
import { readName } from '../resources/task-name.js'
import { isEnd } from './ends.js'
import { refuseExitSignal } from './survey.js'

const STAT_EXIT_CODE = 52 - 3

/** Undefined when it was reaped meanwhile. @throws UnsupportedError THAW_ZOMBIE_CORE, THAW_EXIT_SIGNAL, THAW_NO_PTRACE */
export function zombieOf(pid: number, parent: SeenProcess): ZombieModel | undefined {
  try {
    return zombieThere(pid, parent)
  } catch (error) {
    if (isEnd(error)) return undefined
    throw error
  }
}

function zombieThere(pid: number, parent: SeenProcess): ZombieModel {
  const status = readStatus(pid)
  const name = field(status, 'Name')
  if (!tellsStatus(pid))
    throw new UnsupportedError(
      'THAW_NO_PTRACE',
      `Cannot checkpoint pid ${parent.pid} (${parent.name}): its child ${pid} (${name}) has ended and waits to be reaped, and this user is not told with which status, as it ran as another one. Run as root.`,
      { pid },
    )
  const exit = Number(readStat(pid)[STAT_EXIT_CODE])
  if (hasDumpedCore(exit))
    throw new UnsupportedError(
      'THAW_ZOMBIE_CORE',
      `Cannot checkpoint pid ${parent.pid} (${parent.name}): its child ${pid} (${name}) has dumped core and waits to be reaped, which is not carried.`,
      { pid },
    )
  refuseExitSignal(pid, name)
  return {
    pid: innermost(status, 'NSpid'),
    parentPid: parent.innerPid,
    groupId: innermost(status, 'NSpgid'),
    sessionId: innermost(status, 'NSsid'),
    name: readName(pid),
    status: exit,
  }
}

/** The kernel shows a status of 0 to who may not look at the process (fs/proc/array.c), which a link tells: a zombie's own leads nowhere. */
function tellsStatus(pid: number): boolean {
  try {
    readlinkSync(`/proc/${pid}/cwd`)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EACCES'
  }
  return true
}
