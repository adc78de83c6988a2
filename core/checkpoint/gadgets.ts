/**
 * The two pieces of code that every libc has and an injection borrows without changing a byte: `syscall; ret`, and the stub that
 * signal handlers return through (`mov $15, %eax; syscall`).
 */
import { native } from '../../native/index.js'
import type { MappingLine } from '../proc/maps.js'

export interface Gadgets {
  /** Address of `syscall; ret`. */
  readonly syscall: bigint
  /** Address of a stub that calls rt_sigreturn. */
  readonly sigreturn: bigint
}

const SYSCALL_RET = Buffer.from([0x0f, 0x05, 0xc3])
/** mov $15, %rax (glibc) and mov $15, %eax (musl, Go), each followed by syscall. */
const SIGRETURN_STUBS = [Buffer.from([0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05]), Buffer.from([0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05])]
const CHUNK_BYTES = 4 << 20

/** @param memFd /proc/PID/mem. Undefined when the process has no such code (a static program without signal handlers). */
export function findGadgets(memFd: number, mappings: readonly MappingLine[]): Gadgets | undefined {
  let syscall: bigint | undefined
  let sigreturn: bigint | undefined
  for (const mapping of libcFirst(mappings)) {
    for (const { address, bytes } of chunks(memFd, mapping)) {
      syscall ??= locate(bytes, address, [SYSCALL_RET])
      sigreturn ??= locate(bytes, address, SIGRETURN_STUBS)
      if (syscall !== undefined && sigreturn !== undefined) return { syscall, sigreturn }
    }
  }
  return undefined
}

/** Whether the code is still there, after the process ran on. */
export function gadgetsStand(memFd: number, { syscall, sigreturn }: Gadgets): boolean {
  const at = (address: bigint, pattern: Buffer): boolean => {
    try {
      return Buffer.from(native.readAt(memFd, address, pattern.length)).equals(pattern)
    } catch {
      return false
    }
  }
  return at(syscall, SYSCALL_RET) && SIGRETURN_STUBS.some((stub) => at(sigreturn, stub))
}

function libcFirst(mappings: readonly MappingLine[]): MappingLine[] {
  const executable = mappings.filter(({ permissions, path }) => permissions.startsWith('r-x') && path !== '[vsyscall]')
  const rank = ({ path }: MappingLine): number => (/\/(libc|ld-musl|libpthread)[.-]/.test(path) ? 0 : 1)
  return executable.sort((a, b) => rank(a) - rank(b))
}

function* chunks(memFd: number, { start, end }: MappingLine): Generator<{ address: bigint; bytes: Buffer }> {
  const overlap = 16n
  for (let address = start; address < end; address += BigInt(CHUNK_BYTES)) {
    const stop = address + BigInt(CHUNK_BYTES) + overlap
    const length = Number((stop < end ? stop : end) - address)
    yield { address, bytes: Buffer.from(native.readAt(memFd, address, length)) }
  }
}

function locate(bytes: Buffer, address: bigint, patterns: readonly Buffer[]): bigint | undefined {
  for (const pattern of patterns) {
    const at = bytes.indexOf(pattern)
    if (at >= 0) return address + BigInt(at)
  }
  return undefined
}
