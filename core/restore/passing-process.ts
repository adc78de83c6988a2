/** Processes that live for a few calls of the root's: because the kernel writes down the pid of who made them (SO_PEERCRED), or to have ended. */
import type { Cell } from '../program/bundle.js'
import type { Program } from '../program/program.js'
import type { Planning } from './planning.js'
import { cloneArgs, CLONE_ARGS_BYTES, failureAddress } from './spawning.js'

const CLONE_VM = 0x100
const CLONE_FS = 0x200
const CLONE_FILES = 0x400
const WALL = 0x4000_0000
const STACK_BYTES = 4096

/** The pid is free again afterwards, for a process of the tree or for another of these. */
export function emitAsProcess(root: Program, planning: Planning, pid: number, build: (program: Program) => void): void {
  if (pid === planning.root.pid) {
    build(root)
    return
  }
  const { bundle, failed, family } = planning
  if (pid === family.lostSession) return emitAsHelper(root, planning, build)
  root.for(`as pid ${pid}`, () => {
    const passing = bundle.program(`pid ${pid}`, failed.instance)
    const stack = { stack: bundle.stack(STACK_BYTES), stackBytes: STACK_BYTES }
    root.spawn(passing, cloneArgs(planning, { flags: CLONE_VM | CLONE_FS | CLONE_FILES, pid, ...stack }), CLONE_ARGS_BYTES)
    build(passing)
    passing.call('exit', [0])
    const status = bundle.allocate(8)
    root.call('wait4', [pid, status, WALL, 0], { equal: pid })
    // What failed there has been reported there.
    const done = root.jump(0, 'equal', root.load(status, 4), 0)
    root.call('exit_group', [1])
    done.target = root.here
  })
}

/** The session keeps the pid from being anybody else's. Each waits for the other by one word. */
function emitAsHelper(root: Program, planning: Planning, build: (program: Program) => void): void {
  const { helper, helperTurn } = planning
  helper.for(`as pid ${planning.family.lostSession}`, () => {
    helper.waitFor(helperTurn, 1)
    const goesOn = helper.jump(0, 'equal', helper.load(failureAddress(planning), 4), 0)
    helper.call('exit_group', [1])
    goesOn.target = helper.here
    build(helper)
    helper.add(helperTurn, -1)
  })
  root.for(`as pid ${planning.family.lostSession}`, () => {
    root.add(helperTurn, 1)
    root.waitFor(helperTurn, 0)
  })
}

/** Emits one that the caller has end by `build`, and reaps (wait4 with __WALL). @param pid undefined: any @returns its pid */
export function emitPassing(root: Program, planning: Planning, pid: number | undefined, build: (program: Program) => void): Cell {
  const { bundle, failed } = planning
  const passing = bundle.program('passing', failed.instance)
  const args = { flags: CLONE_VM, stack: bundle.stack(STACK_BYTES), stackBytes: STACK_BYTES, ...(pid !== undefined && { pid }) }
  const child = root.spawn(passing, cloneArgs(planning, args), CLONE_ARGS_BYTES)
  build(passing)
  return child
}
