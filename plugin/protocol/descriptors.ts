/**
 * Descriptors travel on a connection of their own, one byte with each batch, and always before the reply that they belong
 * to. A unix socket delivers at once, so when a worker reads the reply, the descriptors are there: no waiting, and Node never
 * reads from this connection, which would lose them.
 */
import type { Socket } from 'node:net'
import type { Native } from '../../native/index.js'

const MSG_DONTWAIT = 0x40

/** The number of a socket's descriptor. Node has it, but documents it nowhere. */
export function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: number } | null }
  if (handle?.fd === undefined || handle.fd < 0) throw new Error('the socket is closed')
  return handle.fd
}

export function sendDescriptors(native: Native, socket: Socket, descriptors: readonly number[]): void {
  native.sendMessage(descriptorOf(socket), Uint8Array.of(descriptors.length), descriptors, MSG_DONTWAIT)
}

/** Takes the next batch, which has `count` descriptors. The caller closes them. */
export function receiveDescriptors(native: Native, socket: Socket, count: number): readonly number[] {
  const message = native.receiveMessage(descriptorOf(socket), 1, count, MSG_DONTWAIT)
  if (message?.descriptors.length !== count)
    throw new Error(`${count} descriptors were announced, ${message?.descriptors.length ?? 0} came`)
  return message.descriptors
}
