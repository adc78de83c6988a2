/**
 * Who removes the System V objects of an instance in the IPC namespace of the engine, where the engine itself is killed before that runs
 * (native/init/remover.c). It is told of each when it is made, and that all is well when the instance runs; all processes that come up hold its
 * descriptor, so that the end of it tells that nobody of them is left.
 */
import { closeSync, openSync } from 'node:fs'
import { initProgramPath, native } from '../../native/index.js'
import type { ImageModel } from '../image/model.js'
import type { Cell } from '../program/bundle.js'
import type { Expectation, Program } from '../program/program.js'
import type { SysvKind } from '../resources/sysv/table.js'
import { endOfChild } from './adopted.js'
import type { Planning, PlanOptions } from './planning.js'

const AF_UNIX = 1
const SOCK_SEQPACKET = 5
const MSG_NOSIGNAL = 0x4000
const RECORD_BYTES = 8
/** enum thaw_made_kind (native/init/wire.h). */
const ALL = 0
const made = { shm: 1, sem: 2, msg: 3 } as const

/** How many objects an instance makes where others live, too. */
export function countForeign(
  { sharedMemory, semaphores, queues }: ImageModel,
  { pidNamespace }: Pick<PlanOptions, 'pidNamespace'>,
): number {
  if (pidNamespace === 'new') return 0
  return sharedMemory.filter(({ segment }) => segment !== null).length + semaphores.length + queues.length
}

export class Remover {
  /** What the instance is to hold; closed by the caller. */
  readonly held: number
  readonly #pid: number
  #ended: Promise<unknown> | undefined

  constructor(count: number) {
    const [held, theirs] = native.socketpair(AF_UNIX, SOCK_SEQPACKET, 0)
    const nothing = openSync('/dev/null', 'r+')
    try {
      const { pid, pidfd } = native.spawnProcess(initProgramPath(), ['remover', `${count}`], [nothing, nothing, nothing, theirs])
      closeSync(pidfd)
      this.#pid = pid
      this.held = held
    } catch (error) {
      closeSync(held)
      throw error
    } finally {
      closeSync(nothing)
      closeSync(theirs)
    }
  }

  /** When the instance runs, or nobody of it is there any more. */
  ended(): Promise<unknown> {
    this.#ended ??= endOfChild(this.#pid)
    return this.#ended
  }
}

/** Right after an object was made. */
export function emitMade(program: Program, planning: Planning, kind: SysvKind, id: number): void {
  if (planning.remover !== undefined) send(program, planning.remover, Int32Array.of(made[kind], id), { equal: RECORD_BYTES })
}

/** When nothing can fail any more. */
export function emitAllMade(program: Program, { remover }: Planning): void {
  if (remover !== undefined) send(program, remover, Int32Array.of(ALL, 0), 'any')
}

function send(program: Program, to: Cell, record: Int32Array, expected: Expectation): void {
  const bytes = program.bundle.bytes(new Uint8Array(record.buffer))
  program.call('sendto', [to, bytes, RECORD_BYTES, MSG_NOSIGNAL, 0, 0], expected)
}
