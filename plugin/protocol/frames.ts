/** Messages on a stream: four bytes of length, little-endian, then as much JSON. */
import type { Socket } from 'node:net'

const HEADER_BYTES = 4
/** A length beyond this is not one of ours: some other program found the socket. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024

export function writeFrame(socket: Socket, message: object): void {
  const body = Buffer.from(JSON.stringify(message))
  const header = Buffer.allocUnsafe(HEADER_BYTES)
  header.writeUInt32LE(body.length)
  socket.cork()
  socket.write(header)
  socket.write(body)
  socket.uncork()
}

/** Calls `onMessage` for each message that arrives. What does not parse destroys the socket, with the error. */
export function readFrames<Message>(socket: Socket, onMessage: (message: Message) => void): void {
  let pending: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    for (;;) {
      if (pending.length < HEADER_BYTES) return
      const length = pending.readUInt32LE()
      if (length > MAX_FRAME_BYTES) {
        socket.destroy(new Error(`a message of ${length} bytes is no message of ours`))
        return
      }
      if (pending.length < HEADER_BYTES + length) return
      const body = pending.subarray(HEADER_BYTES, HEADER_BYTES + length)
      pending = pending.subarray(HEADER_BYTES + length)
      let message: Message
      try {
        message = JSON.parse(body.toString()) as Message
      } catch (error) {
        socket.destroy(error as Error)
        return
      }
      onMessage(message)
    }
  })
}
