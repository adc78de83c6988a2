/** Registrations that have fired once (EPOLLONESHOT): they fire again, by what is ready, or is made ready for the moment. */
import type { Argument } from '../program/bundle.js'
import { SIGINFO_BYTES } from '../program/siginfo.js'
import type { Emitter } from './description.js'
import { closeDescriptor, reopen } from './emission.js'
import type { EpollItem } from './epoll-items.js'
import { emitControl, emitWait, EPOLL_CTL_ADD, EVENT_BYTES } from './epoll-registration.js'
import type { EpollSet } from './epoll-registration.js'
import { O_CLOEXEC, O_NONBLOCK, O_WRONLY } from './open-flags.js'
import type { SignalFd } from './signalfd.js'
import { TFD_IOC_SET_TICKS } from './timerfd.js'

const EPOLLIN = 1
const EPOLL_CTL_DEL = 2
/** EPOLLET, EPOLLONESHOT, EPOLLWAKEUP: what is left of the events once it has fired. */
const KEPT = 0x8000_0000 | 0x4000_0000 | 0x2000_0000
/** All that can be ready, of whatever kind. */
const EPOLL_ANYTHING = 0x27df
const SIGSET_BYTES = 8
const SI_QUEUE = -1

/** First of all: nothing else in the set may be ready. Nobody who watches the same file looks before it is as it was. */
export function emitDisarmed(set: EpollSet, item: EpollItem): void {
  const fire = (): void => {
    emitControl(set, EPOLL_CTL_ADD, item, (item.events & KEPT) | EPOLL_ANYTHING)
    emitWait(set, 1, { equal: 1 })
  }
  const { emitter } = set
  const file = emitter.descriptorOf(item.description)
  const { kind, payload } = emitter.describe(item.description)
  if (kind === 'timerfd') withTick(emitter, file, fire)
  else if (kind === 'signalfd') withSignal(emitter, (payload as SignalFd).mask, fire)
  else if (kind === 'epoll') withReadyMember(emitter, file, fire)
  else if (item.unready) withByte(emitter, item, fire)
  else fire()
}

/** Not armed yet: what it has counted comes later. */
function withTick({ program, bundle }: Emitter, file: Argument, fire: () => void): void {
  program.call('ioctl', [file, TFD_IOC_SET_TICKS, bundle.words(1)])
  fire()
  program.call('read', [file, bundle.allocate(8), 8], { equal: 8 })
}

/** All signals are blocked, and what is to be pending comes later. */
function withSignal({ program, bundle }: Emitter, mask: bigint, fire: () => void): void {
  const number = (mask & -mask).toString(2).length
  const info = new DataView(new ArrayBuffer(SIGINFO_BYTES))
  info.setInt32(0, number, true)
  info.setInt32(8, SI_QUEUE, true)
  const sent = bundle.bytes(new Uint8Array(info.buffer))
  program.call('rt_tgsigqueueinfo', [program.call('getpid'), program.call('gettid'), number, sent])
  fire()
  const set = bundle.words(1n << BigInt(number - 1))
  program.call('rt_sigtimedwait', [set, 0, bundle.words(0, 0), SIGSET_BYTES], { equal: number })
}

function withReadyMember({ program, bundle, raise }: Emitter, inner: Argument, fire: () => void): void {
  const ready = raise(program.call('eventfd2', [1, O_CLOEXEC]))
  const event = new Uint8Array(EVENT_BYTES)
  event[0] = EPOLLIN
  program.call('epoll_ctl', [inner, EPOLL_CTL_ADD, ready, bundle.bytes(event)])
  fire()
  program.call('epoll_ctl', [inner, EPOLL_CTL_DEL, ready, 0])
  closeDescriptor(program, ready)
}

/** An empty pipe, whose writing end is somewhere. */
function withByte(emitter: Emitter, { description }: EpollItem, fire: () => void): void {
  const { program, bundle } = emitter
  const reader = emitter.descriptorOf(description)
  const writer = reopen(emitter, reader, O_WRONLY | O_NONBLOCK)
  const byte = bundle.allocate(8)
  program.call('write', [writer, byte, 1], { equal: 1 })
  fire()
  program.call('read', [reader, byte, 1], { equal: 1 })
  closeDescriptor(program, writer)
}
