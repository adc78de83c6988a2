/** siginfo_t of a signal that a process sends to itself with a value. */
export const SIGINFO_BYTES = 128

/** As of the kernel's own: such signals are queued whatever RLIMIT_SIGPENDING says, and a process may send them to itself. */
const SI_KERNEL = 0x80
/** Offsets. */
const [SI_SIGNO, SI_CODE, SI_VALUE] = [0, 8, 24]

export function signalWith(signal: number, value: bigint): Uint8Array {
  const info = Buffer.alloc(SIGINFO_BYTES)
  info.writeInt32LE(signal, SI_SIGNO)
  info.writeInt32LE(SI_KERNEL, SI_CODE)
  info.writeBigUInt64LE(value, SI_VALUE)
  return info
}

export function isSignalWith(bytes: Uint8Array, value: bigint): boolean {
  const info = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return info.readInt32LE(SI_CODE) === SI_KERNEL && info.readBigUInt64LE(SI_VALUE) === value
}
