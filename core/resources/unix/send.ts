/** Queues of unix sockets in programs: filled again by who had sent what is in them. */
import type { Cell } from '../../program/bundle.js'
import type { Emitter } from '../description.js'
import { SOL_SOCKET } from '../socket/option-table.js'
import { socketAddress } from './names.js'
import type { UnixMessage } from './queue.js'

const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const SCM_RIGHTS = 1

/** Sends the messages from one of the instance's sockets: to its peer, or to a name. */
export function sendMessages(emitter: Emitter, from: Cell, messages: readonly UnixMessage[], to?: Uint8Array): void {
  const { program, bundle } = emitter
  for (const { data, descriptions } of messages) {
    const name = to === undefined ? undefined : socketAddress(to)
    const part = bundle.words(bundle.bytes(data, 1), data.length)
    const control = descriptions.length === 0 ? undefined : rights(emitter, descriptions)
    const header = bundle.words(
      name === undefined ? 0 : bundle.bytes(name),
      name?.length ?? 0,
      part,
      1,
      control?.address ?? 0,
      control?.length ?? 0,
      0,
    )
    program.call('sendmsg', [from, header, MSG_DONTWAIT | MSG_NOSIGNAL], { equal: data.length })
  }
}

/** struct cmsghdr with descriptors, whose numbers are known only when it is sent. */
function rights({ program, bundle, descriptorOf }: Emitter, descriptions: readonly number[]): { address: bigint; length: number } {
  const length = 16 + descriptions.length * 4
  const bytes = new Uint8Array(Math.ceil(length / 8) * 8)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, BigInt(length), true)
  view.setInt32(8, SOL_SOCKET, true)
  view.setInt32(12, SCM_RIGHTS, true)
  const address = bundle.bytes(bytes)
  descriptions.forEach((id, i) => program.store(address + 16n + BigInt(i * 4), descriptorOf(id), 4))
  return { address, length: bytes.length }
}
