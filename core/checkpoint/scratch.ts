/** Memory of a frozen process to work from while it is injected into. */
import { native } from '../../native/index.js'
import { CheckpointError } from '../errors.js'
import type { MappingLine } from '../proc/maps.js'
import { get } from '../program/registers.js'
import { scratchBytes } from './injection.js'
import type { Scratch, ThreadState } from './injection.js'
import { PAGE_BYTES } from './pages.js'
import { findScratch, SCRATCH_MARK } from './space.js'

/** An address space: /proc/PID/mem, open for writing, /proc/PID/pagemap, and its mappings. */
export interface Space {
  readonly memFd: number
  readonly pagemapFd: number
  readonly lines: readonly MappingLine[]
}

/** Room for each of the threads in turn, marked as in use; `wipe` gives it back. */
export function claimScratch(pid: number, { memFd, pagemapFd, lines }: Space, states: readonly ThreadState[]): Scratch {
  const page = Number(PAGE_BYTES)
  const lengthBytes = Math.ceil(Math.max(...states.map(scratchBytes)) / page) * page
  const stackPointers = states.map(({ registers }) => get(registers, 'rsp'))
  const start = findScratch(memFd, pagemapFd, lines, stackPointers, lengthBytes)
  if (start === undefined)
    throw new CheckpointError(
      'THAW_NO_ROOM',
      `Cannot checkpoint pid ${pid}: it has touched every page of its private memory, so there is no place to work from.`,
      { pid },
    )
  clear(memFd, start, lengthBytes)
  native.writeAt(memFd, start, SCRATCH_MARK)
  return { memFd, start, lengthBytes }
}

/** What a killed dumper has left behind its mark, and signal handlers below that. */
function clear(memFd: number, marked: bigint, markedBytes: number): void {
  const [start, lengthBytes] = [marked + BigInt(SCRATCH_MARK.length), markedBytes - SCRATCH_MARK.length]
  if (native.readAt(memFd, start, lengthBytes).some((byte) => byte !== 0)) native.writeAt(memFd, start, new Uint8Array(lengthBytes))
}
