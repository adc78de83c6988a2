/** Memory of a frozen process to work from while it is injected into. */
import { readdirSync, readFileSync } from 'node:fs'
import { native } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'
import type { MappingLine } from '../proc/maps.js'
import { field, readStatus } from '../proc/status.js'
import { get } from '../program/registers.js'
import type { Support } from '../resources/support.js'
import { chainBytes, roomBytes } from './injection.js'
import type { Scratch, ThreadState } from './injection.js'
import { PAGE_BYTES } from './pages.js'
import { findScratch } from './space.js'

export const support: Support = {
  topic: 'memory',
  refused: { THAW_NO_ROOM: 'programs whose main stack is full, or not in use, and that have written to all other private memory' },
}

/** An address space: /proc/PID/mem, open for writing, /proc/PID/pagemap, and its mappings. */
export interface Space {
  readonly memFd: number
  readonly pagemapFd: number
  readonly lines: readonly MappingLine[]
}

type Named = { readonly pid: number; readonly name: string }

/** Room for each of the threads in turn; `wipe` gives it back. @throws UnsupportedError THAW_NO_ROOM */
export function claimScratch(target: Named, { memFd, pagemapFd, lines }: Space, states: readonly ThreadState[]): Scratch {
  const room = roomBytes(caughtBy(target.pid))
  const lengthBytes = wholePages(room + Math.max(...states.map(({ extendedState }) => chainBytes(extendedState))))
  const stackPointers = states.map(({ registers }) => get(registers, 'rsp'))
  const start = findScratch(pagemapFd, lines, stackPointers, lengthBytes)
  if (start === undefined) throw noRoom(target, lengthBytes)
  return { memFd, start, lengthBytes, roomBytes: room, before: native.readAt(memFd, start + BigInt(room), lengthBytes - room) }
}

/**
 * The same of a process that runs: where its stack pointers are is known of threads that wait in a call (proc(5), /proc/PID/syscall), how long its extended
 * state is, is not. @throws UnsupportedError THAW_NO_ROOM
 */
export function refuseWithoutRoom(target: Named, { pagemapFd, lines }: Omit<Space, 'memFd'>): void {
  const { pid } = target
  const stackPointers = threadsOf(pid).map((tid) => stackPointerOf(pid, tid))
  if (!stackPointers.every((pointer) => pointer !== undefined)) return
  const leastBytes = wholePages(roomBytes(caughtBy(pid)) + chainBytes(new Uint8Array()))
  if (findScratch(pagemapFd, lines, stackPointers, leastBytes) === undefined) throw noRoom(target, leastBytes)
}

const wholePages = (bytes: number): number => Math.ceil(bytes / Number(PAGE_BYTES)) * Number(PAGE_BYTES)

const caughtBy = (pid: number): bigint => BigInt(`0x${field(readStatus(pid), 'SigCgt')}`)

/** The leader first. */
const threadsOf = (pid: number): number[] => [
  pid,
  ...readdirSync(`/proc/${pid}/task`)
    .map(Number)
    .filter((tid) => tid !== pid),
]

/** Behind the number of the call and its arguments; undefined of one that runs, or has ended. */
function stackPointerOf(pid: number, tid: number): bigint | undefined {
  const [pointer] = readSyscall(pid, tid).trim().split(' ').slice(-2)
  return pointer?.startsWith('0x') === true ? BigInt(pointer) : undefined
}

function readSyscall(pid: number, tid: number): string {
  try {
    return readFileSync(`/proc/${pid}/task/${tid}/syscall`, 'utf8')
  } catch {
    return ''
  }
}

const noRoom = ({ pid, name }: Named, lengthBytes: number): UnsupportedError =>
  new UnsupportedError(
    'THAW_NO_ROOM',
    `Cannot checkpoint pid ${pid} (${name}): there is no place in its memory to work from. Its main stack is full, or not in use, and no ${lengthBytes} bytes in a row of its other private memory are left that it has never written to.`,
    { pid },
  )
