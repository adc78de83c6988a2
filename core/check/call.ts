/** System calls that are only made to see what comes of them. */
import { native } from '../../native/index.js'

const PROT_READ_WRITE = 3
const MAP_PRIVATE_ANONYMOUS = 0x22

/** Runs `use` with fresh memory at an address that is a multiple of its size. */
export function withMemory<T>(sizeBytes: number, use: (address: bigint) => T): T {
  const length = sizeBytes * 2
  const start = native.syscall('mmap', [0, length, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0])
  try {
    const size = BigInt(sizeBytes)
    return use(((start + size - 1n) / size) * size)
  } finally {
    native.syscall('munmap', [start, length])
  }
}

export const prctl = (option: number, ...args: (number | bigint | Uint8Array)[]): bigint =>
  native.syscall('prctl', [option, ...args, 0, 0, 0, 0].slice(0, 5))
