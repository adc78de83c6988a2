/**
 * Gadgets for a process that has none of its own (a static program without a libc): they are written where no instruction is ever reached,
 * into the zeros between the end of a segment of code and the end of its page, and taken away again. If the dumper dies, they stay there,
 * and the way home by them works.
 */
import { native } from '../../native/index.js'
import type { MappingLine } from '../proc/maps.js'
import { findGadgets, gadgetsStand } from './gadgets.js'
import type { Gadgets } from './gadgets.js'
import { PAGE_BYTES } from './pages.js'

/** mov $15, %eax; syscall; nop; syscall; ret. */
const CODE = Uint8Array.of(0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05, 0x90, 0x0f, 0x05, 0xc3)
const SYSCALL_RET = 8n

/** Where gadgets are, or where there is room for them. */
export interface GadgetPlace {
  readonly gadgets: Gadgets
  readonly standing: boolean
}

/** @param memFd /proc/PID/mem. Undefined when there is neither code nor room for it. */
export function findGadgetPlace(memFd: number, lines: readonly MappingLine[]): GadgetPlace | undefined {
  const gadgets = findGadgets(memFd, lines)
  if (gadgets !== undefined) return { gadgets, standing: true }
  const room = findRoom(memFd, lines)
  return room === undefined ? undefined : { gadgets: { sigreturn: room, syscall: room + SYSCALL_RET }, standing: false }
}

/** Whether the process, which ran on, still has what was found. */
export function placeStands(memFd: number, lines: readonly MappingLine[], { gadgets, standing }: GadgetPlace): boolean {
  return standing ? gadgetsStand(memFd, gadgets) : findRoom(memFd, lines) === gadgets.sigreturn
}

/** The gadgets of a frozen process, until disposed of, which may be done twice. @param memFd open for writing */
export class LentGadgets implements Disposable {
  readonly gadgets: Gadgets
  readonly #memFd: number
  #written: boolean

  constructor(memFd: number, { gadgets, standing }: GadgetPlace) {
    this.gadgets = gadgets
    this.#memFd = memFd
    this.#written = !standing
    if (!standing) native.writeAt(memFd, gadgets.sigreturn, CODE)
  }

  /** Memory that is not as the process has it meanwhile. */
  get ranges(): { start: bigint; lengthBytes: number }[] {
    return this.#written ? [{ start: this.gadgets.sigreturn, lengthBytes: CODE.length }] : []
  }

  [Symbol.dispose](): void {
    if (this.#written) native.writeAt(this.#memFd, this.gadgets.sigreturn, new Uint8Array(CODE.length))
    this.#written = false
  }
}

function findRoom(memFd: number, lines: readonly MappingLine[]): bigint | undefined {
  for (const line of lines.filter(({ permissions, inode }) => permissions === 'r-xp' && inode !== 0n)) {
    const room = roomIn(memFd, lines, line)
    if (room !== undefined) return room
  }
  return undefined
}

/** The first aligned place behind the code that the mapping was made for: by the program headers (elf(5)), and by its zeros. */
function roomIn(memFd: number, lines: readonly MappingLine[], line: MappingLine): bigint | undefined {
  const header = lines.find(({ inode, device, offset }) => inode === line.inode && device === line.device && offset === 0n)
  if (header === undefined) return undefined
  for (const endInFile of codeEnds(memFd, header)) {
    const end = line.start + endInFile - line.offset
    if (end <= line.start || end >= line.end) continue
    const room = (end + 15n) & -16n
    const length = PAGE_BYTES - (end & (PAGE_BYTES - 1n))
    const isZero = native.readAt(memFd, end, Number(length)).every((byte) => byte === 0)
    if (isZero && room + BigInt(CODE.length) <= end + length) return room
  }
  return undefined
}

const PT_LOAD = 1
const PF_X = 1

/** Offsets in the file at which its executable segments end. */
function codeEnds(memFd: number, { start, end }: MappingLine): bigint[] {
  const size = Number(end - start < PAGE_BYTES ? end - start : PAGE_BYTES)
  const bytes = Buffer.from(native.readAt(memFd, start, size))
  if (bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 2) return []
  const [at, entry, count] = [Number(bytes.readBigUInt64LE(32)), bytes.readUInt16LE(54), bytes.readUInt16LE(56)]
  if (at + entry * count > size) return []
  return Array.from({ length: count }, (_, i) => bytes.subarray(at + i * entry, at + (i + 1) * entry))
    .filter((segment) => segment.readUInt32LE(0) === PT_LOAD && (segment.readUInt32LE(4) & PF_X) !== 0)
    .filter((segment) => segment.readBigUInt64LE(32) === segment.readBigUInt64LE(40))
    .map((segment) => segment.readBigUInt64LE(8) + segment.readBigUInt64LE(32))
}
