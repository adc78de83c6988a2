/** /dev/tty (tty(4)), opened: the controlling terminal, by another name. Opened by the process that has it, for only that may. */
import { readdirSync } from 'node:fs'
import { defineKind } from './description.js'
import type { DescriptionKind, SeenDescription, SeenTree } from './description.js'
import { AT_FDCWD, O_ASYNC, O_CLOEXEC, O_NONBLOCK } from './open-flags.js'
import { ptyOf } from './pty/seen-pty.js'
import { refusal } from './refusal.js'

export interface ControllingTerminal {
  path: string
}

export const TTY = '/dev/tty'

export const controllingTerminal: DescriptionKind<unknown> = defineKind<ControllingTerminal>({
  name: 'controlling_terminal',
  support: {
    topic: 'terminals',
    carried: 'the controlling terminal by its name',
    refused: { THAW_TTY_SHARED: '/dev/tty opened once for several processes' },
  },

  ofMemory: true,

  recognises: (seen, tree) => seen.link === TTY && ptyOf(seen, tree) !== undefined,

  collect(seen, tree) {
    if (seen.process.receiver !== undefined || isShared(seen, tree))
      throw refusal(
        seen,
        'THAW_TTY_SHARED',
        `is ${TTY}, shared with another process`,
        'Have each process open it, or the terminal by its own name.',
      )
    return { path: TTY }
  },

  open: ({ path }, emitter, flags) =>
    emitter.raise(
      emitter.program.call('openat', [AT_FDCWD, emitter.program.bundle.string(path), (flags & ~O_ASYNC) | O_NONBLOCK | O_CLOEXEC, 0]),
    ),
})

const isShared = (seen: SeenDescription, tree: SeenTree): boolean =>
  tree.processes.some(
    (process) =>
      process !== seen.process && readdirSync(`/proc/${process.pid}/fd`).some((fd) => tree.descriptionOf(process, Number(fd)) === seen),
  )
