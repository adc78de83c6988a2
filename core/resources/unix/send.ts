/** Queues of unix sockets in programs: filled again by who had sent what is in them. */
import type { Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import type { Emitter } from '../description.js'
import { SOL_SOCKET } from '../socket/option-table.js'
import type { SocketOption } from '../socket/options.js'
import type { UnixCredentials } from './credentials.js'
import { socketAddress } from './names.js'
import type { UnixMessage } from './queue.js'
import { withRoom } from './room.js'

const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const SCM_RIGHTS = 1
const SCM_CREDENTIALS = 2
const CMSG_HEADER_BYTES = 16

/** One of the instance's sockets, with the options that it has in the end. */
export interface Sender {
  readonly self: Cell
  readonly options: readonly SocketOption[]
}

/** Sends the messages to the socket's peer, or to a name. */
export function sendMessages(emitter: Emitter, { self, options }: Sender, messages: readonly UnixMessage[], to?: Uint8Array): void {
  withRoom(emitter, self, messages, options, () => sendAll(emitter, self, messages, to))
}

function sendAll(emitter: Emitter, from: Cell, messages: readonly UnixMessage[], to?: Uint8Array): void {
  const { program, bundle } = emitter
  for (const message of messages) {
    const { data } = message
    const name = to === undefined ? undefined : socketAddress(to)
    const part = bundle.words(bundle.bytes(data, 1), data.length)
    const control = controlOf(emitter, message)
    const header = bundle.words(
      name === undefined ? 0 : bundle.bytes(name),
      name?.length ?? 0,
      part,
      1,
      control.length === 0 ? 0 : control.address,
      control.length,
      0,
    )
    // Only who has a pid may send it, and a process of the tree may not have been forked yet.
    const send = (sender: Program): unknown => sender.call('sendmsg', [from, header, MSG_DONTWAIT | MSG_NOSIGNAL], { equal: data.length })
    if (message.credentials === null) send(program)
    else emitter.asProcess(message.credentials.pid, send)
  }
}

/** A struct cmsghdr for credentials, and one for descriptors, whose numbers are known only when it is sent. */
function controlOf(
  { program, bundle, descriptorOf }: Emitter,
  { descriptions, credentials }: UnixMessage,
): { address: bigint; length: number } {
  const rights = descriptions.length === 0 ? [] : header(SCM_RIGHTS, new Uint8Array(descriptions.length * 4))
  const sender = credentials === null ? [] : header(SCM_CREDENTIALS, credentialBytes(credentials))
  const address = bundle.bytes(Uint8Array.from([...sender, ...rights]))
  const numbers = address + BigInt(sender.length + CMSG_HEADER_BYTES)
  descriptions.forEach((id, i) => program.store(numbers + BigInt(i * 4), descriptorOf(id), 4))
  return { address, length: sender.length + rights.length }
}

function header(type: number, content: Uint8Array): Uint8Array {
  const length = CMSG_HEADER_BYTES + content.length
  const bytes = new Uint8Array(Math.ceil(length / 8) * 8)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, BigInt(length), true)
  view.setInt32(8, SOL_SOCKET, true)
  view.setInt32(12, type, true)
  bytes.set(content, CMSG_HEADER_BYTES)
  return bytes
}

/** struct ucred. */
const credentialBytes = ({ pid, uid, gid }: UnixCredentials): Uint8Array => new Uint8Array(Uint32Array.of(pid, uid, gid).buffer)
