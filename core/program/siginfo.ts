/** siginfo_t of signals that a process sends to itself with a value (sigqueue(3)). */
export const SIGINFO_BYTES = 128

const SI_QUEUE = -1
/** Offsets. */
const [SI_SIGNO, SI_CODE, SI_VALUE] = [0, 8, 24]

export function queuedSignal(signal: number, value: bigint): Uint8Array {
  const info = Buffer.alloc(SIGINFO_BYTES)
  info.writeInt32LE(signal, SI_SIGNO)
  info.writeInt32LE(SI_QUEUE, SI_CODE)
  info.writeBigUInt64LE(value, SI_VALUE)
  return info
}

export function isQueuedSignal(bytes: Uint8Array, value: bigint): boolean {
  const info = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return info.readInt32LE(SI_CODE) === SI_QUEUE && info.readBigUInt64LE(SI_VALUE) === value
}
