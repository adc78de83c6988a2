/**
 * epoll(7) sets. A registration belongs to a file and the number it was registered by; the number may have been closed since, or
 * lead to another file, while the file lives on under another number.
 */
import { native } from '../../native/index.js'
import type { Cell } from '../program/bundle.js'
import { defineKind } from './description.js'
import type { DescriptionKind, Emitter, Placement } from './description.js'
import { collectItems } from './epoll-items.js'
import type { EpollItem } from './epoll-items.js'
import { closeDescriptor } from './emission.js'
import { O_CLOEXEC } from './open-flags.js'

export interface Epoll {
  items: EpollItem[]
  /** Nothing was ready that had not been reported: an edge that comes of restoring is not to be reported either. */
  idle: boolean
  /** struct epoll_params (busy polling), where one was set. */
  parameters: Uint8Array
}

const POLLIN = 1
const EPOLL_CTL_ADD = 1
const EPOLLONESHOT = 0x4000_0000
const EPOLLET = 0x8000_0000
const EPOLLWAKEUP = 0x2000_0000
/** All that can be ready, of whatever kind. */
const EPOLL_ANYTHING = 0x27df
const EVENT_BYTES = 12
/** _IOW(0x8A, 1) and _IOR(0x8A, 2) of 8 bytes, since Linux 6.9. */
const EPIOCSPARAMS = 0x4008_8a01
const EPIOCGPARAMS = 0x8008_8a02
const F_GETFD = 1
const F_SETFD = 2

const isEdgeTriggered = ({ events }: EpollItem): boolean => (events & EPOLLET) !== 0

export const epoll: DescriptionKind<unknown> = defineKind<Epoll>({
  name: 'epoll',
  support: {
    topic: 'descriptors',
    carried: 'epoll',
    conditions: [
      'Edges of an epoll set (EPOLLET) that were reported already are reported once more where something else in the set is ready, or where what is watched is no pipe, terminal, connected unix socket or file without an inode of its own.',
    ],
    refused: {
      THAW_EPOLL_OUTSIDE: 'epoll sets that watch what is open nowhere any more',
      THAW_EPOLL_DISARMED: 'epoll registrations that have fired once and are not ready',
    },
  },

  recognises: ({ link }) => link === 'anon_inode:[eventpoll]',

  collect(seen, tree) {
    const idle = native.poll(seen.duplicate(), POLLIN, 0) === 0
    return { items: collectItems(seen, tree), idle, parameters: busyPolling(seen.duplicate()) }
  },

  open({ parameters }, emitter) {
    const { program } = emitter
    const fd = emitter.raise(program.call('epoll_create1', [O_CLOEXEC]))
    if (parameters.length > 0) program.call('ioctl', [fd, EPIOCSPARAMS, program.bundle.bytes(parameters)])
    return fd
  },

  place({ items, idle }, emitter, placements, all) {
    const [home] = placements
    if (home === undefined) return
    const add = (item: EpollItem, events: number): void =>
      withNumber(item, emitter, home, all, () => emitAdd(emitter, home.fd, item, events))
    for (const item of items.filter(({ disarmed }) => disarmed)) {
      add(item, (item.events & (EPOLLONESHOT | EPOLLET | EPOLLWAKEUP)) | EPOLL_ANYTHING)
      emitWait(emitter, home.fd, 1, { equal: 1 })
    }
    const armed = items.filter(({ disarmed }) => !disarmed)
    const swallowed = idle ? armed.filter((item) => isEdgeTriggered(item) && item.quiet) : []
    for (const item of swallowed) add(item, item.events)
    if (swallowed.length > 0) emitWait(emitter, home.fd, swallowed.length, 'ok')
    for (const item of armed) if (!swallowed.includes(item)) add(item, item.events)
  },
})

/** Empty where none is set, or where the kernel has none. */
function busyPolling(fd: number): Uint8Array {
  const parameters = new Uint8Array(8)
  try {
    native.ioctl(fd, EPIOCGPARAMS, parameters)
  } catch {
    return new Uint8Array()
  }
  return parameters.every((byte) => byte === 0) ? new Uint8Array() : parameters
}

function emitAdd({ program }: Emitter, set: number, item: EpollItem, events: number): void {
  const event = new Uint8Array(EVENT_BYTES)
  const view = new DataView(event.buffer)
  view.setUint32(0, events >>> 0, true)
  view.setBigUint64(4, item.data, true)
  program.call('epoll_ctl', [set, EPOLL_CTL_ADD, item.fd, program.bundle.bytes(event)])
}

/** Takes what is ready, at once. */
function emitWait({ program }: Emitter, set: number, most: number, expect: 'ok' | { equal: number }): void {
  program.call('epoll_wait', [set, program.bundle.allocate(EVENT_BYTES * most), most, 0], expect)
}

/** Sees to it that the number leads to the registered file while `add` is emitted. */
function withNumber(item: EpollItem, emitter: Emitter, home: Placement, all: readonly Placement[], add: () => void): void {
  const { program, scratch } = emitter
  const occupant = all.find(({ processIndex, fd }) => processIndex === home.processIndex && fd === item.fd)
  if (occupant?.descriptionId === item.description) return add()
  const file: Cell = emitter.descriptorOf(item.description)
  if (occupant === undefined) {
    program.call('dup3', [file, item.fd, O_CLOEXEC])
    add()
    closeDescriptor(program, item.fd)
    return
  }
  const flags = program.call('fcntl', [item.fd, F_GETFD])
  program.call('dup3', [item.fd, scratch, O_CLOEXEC])
  program.call('dup3', [file, item.fd, O_CLOEXEC])
  add()
  program.call('dup3', [scratch, item.fd, 0])
  program.call('fcntl', [item.fd, F_SETFD, flags])
  closeDescriptor(program, scratch)
}
