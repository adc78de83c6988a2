/** Datagram sockets that are no pair: what they hold was sent by name, and they are connected by name. */
import { contradiction } from '../../image/contradiction.js'
import type { Cell } from '../../program/bundle.js'
import type { Emitter } from '../description.js'
import { closeDescriptor } from '../emission.js'
import { emitSocket } from '../socket/emission.js'
import { AF_UNIX } from '../socket/option-table.js'
import { emitOptions } from '../socket/options.js'
import type { UnixSocket } from '../unix-socket.js'
import { asksForCredentials } from './credentials.js'
import { callWithName, emitBind } from './names.js'
import { sendMessages } from './send.js'
import type { Sender } from './send.js'
import type { UnixMessage } from './queue.js'

const byName = (address: Uint8Array): string => Buffer.from(address).toString('hex')

/** A bound socket, known by its name to those who hold datagrams of it. */
export function openBound(socket: UnixSocket, emitter: Emitter): Cell {
  const fd = emitSocket(emitter, AF_UNIX, socket.type, 0)
  if (socket.address.length > 0) emitBind(emitter, fd, socket.address, socket.file)
  rememberSender(socket, emitter, fd)
  return fd
}

export function rememberSender({ address, options }: UnixSocket, emitter: Emitter, self: Cell): void {
  emitter.shared<Sender>('unix-sender', byName(address), () => ({ self, options }))
}

/** Filled first: a connected datagram socket takes nothing but from its peer. */
export function settleDatagrams(socket: UnixSocket, emitter: Emitter, self: Cell): void {
  const { program } = emitter
  emitOptions(
    program,
    self,
    socket.options.filter((option) => !asksForCredentials(option)),
    'others',
  )
  for (const message of socket.queue) sendOne(socket, message, emitter)
  if (socket.state === 'connected') callWithName(program, 'connect', self, socket.peerAddress, socket.peerFile?.folder ?? '')
  emitOptions(program, self, socket.options, 'buffers')
  emitOptions(program, self, socket.options.filter(asksForCredentials), 'all')
}

function sendOne({ address, file, type }: UnixSocket, message: UnixMessage, emitter: Emitter): void {
  const { program } = emitter
  const folder = file?.folder ?? ''
  if (folder !== '') program.call('chdir', [program.bundle.string(folder)])
  if (message.sender.length > 0) {
    const sender = emitter.shared<Sender | undefined>('unix-sender', byName(message.sender), () => undefined)
    if (sender === undefined) throw contradiction('the sender of a datagram is not there')
    sendMessages(emitter, sender, [message], address)
  } else {
    const nameless = emitSocket(emitter, AF_UNIX, type, 0)
    sendMessages(emitter, { self: nameless, options: [] }, [message], address)
    closeDescriptor(program, nameless)
  }
  if (folder !== '') program.call('chdir', [program.bundle.string('/')])
}
