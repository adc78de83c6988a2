/** Registrations of an epoll set, made one by one. A registration belongs to a file and the number that it is made by. */
import type { Argument, Cell } from '../program/bundle.js'
import type { Emitter, Placement } from './description.js'
import { closeDescriptor } from './emission.js'
import type { EpollItem } from './epoll-items.js'
import { O_CLOEXEC } from './open-flags.js'

export const EPOLL_CTL_ADD = 1
export const EPOLL_CTL_MOD = 3
export const EVENT_BYTES = 12
const F_GETFD = 1
const F_SETFD = 2

/** struct epoll_event. */
export function eventOf({ data }: EpollItem, events: number): Uint8Array {
  const event = new Uint8Array(EVENT_BYTES)
  const view = new DataView(event.buffer)
  view.setUint32(0, events >>> 0, true)
  view.setBigUint64(4, data, true)
  return event
}

/** A set in the process that its registrations are made in. */
export interface EpollSet {
  readonly emitter: Emitter
  readonly fd: Argument
  readonly all: readonly Placement[]
}

/** @param operation EPOLL_CTL_ADD, EPOLL_CTL_MOD */
export function emitControl(set: EpollSet, operation: number, item: EpollItem, events: number): void {
  const { program } = set.emitter
  withNumber(set, item, () => program.call('epoll_ctl', [set.fd, operation, item.fd, program.bundle.bytes(eventOf(item, events))]))
}

/** Takes what is ready, at once. */
export function emitWait({ emitter: { program }, fd }: EpollSet, most: number, expect: 'ok' | { equal: number }): void {
  program.call('epoll_wait', [fd, program.bundle.allocate(EVENT_BYTES * most), most, 0], expect)
}

/** Sees to it that the number leads to the registered file while `register` is emitted. */
function withNumber({ emitter, all }: EpollSet, item: EpollItem, register: () => void): void {
  const { program, scratch } = emitter
  const occupant = all.find(({ processIndex, fd }) => processIndex === emitter.processIndex && fd === item.fd)
  if (occupant?.descriptionId === item.description) return register()
  const file: Cell = emitter.descriptorOf(item.description)
  if (occupant === undefined) {
    program.call('dup3', [file, item.fd, O_CLOEXEC])
    register()
    closeDescriptor(program, item.fd)
    return
  }
  const flags = program.call('fcntl', [item.fd, F_GETFD])
  program.call('dup3', [item.fd, scratch, O_CLOEXEC])
  program.call('dup3', [file, item.fd, O_CLOEXEC])
  register()
  program.call('dup3', [scratch, item.fd, 0])
  program.call('fcntl', [item.fd, F_SETFD, flags])
  closeDescriptor(program, scratch)
}
