/**
 * Registrations whose edge has been reported already: added, and their edge taken, before anything else of the set is. What may have become
 * ready meanwhile is looked at afterwards, and reported then.
 */
import type { Operation } from '../program/program.js'
import { now } from './clocks.js'
import type { Emitter } from './description.js'
import type { EpollItem } from './epoll-items.js'
import { Reach } from './epoll-reach.js'
import { emitControl, emitWait, EPOLL_CTL_ADD, EPOLL_CTL_MOD } from './epoll-registration.js'
import type { EpollSet } from './epoll-registration.js'
import { nextDue } from './timerfd.js'
import type { TimerFd } from './timerfd.js'

/** EPOLLOUT, EPOLLWRNORM, EPOLLWRBAND: nobody else makes that of something that is ready for more. */
const WRITING = 0x4 | 0x100 | 0x200
const EPOLLEXCLUSIVE = 0x1000_0000
const POLL_BITS = 0x27df
const SIGSET_BYTES = 8

/** Kinds that become what they were only behind the gate: a set in which one has been told waits for that. */
const late: readonly string[] = ['timerfd', 'signalfd', 'epoll']

export const isLate = ({ told }: EpollItem, kind: string): boolean => told !== 0 && late.includes(kind)

/** Emits what goes on, at the operation it returns, where there is no news. */
type Look = () => Operation

/** @returns those that it has not taken: one edge too many is better than one too few */
export function emitTold(set: EpollSet, items: readonly EpollItem[]): EpollItem[] {
  const told = items.flatMap((item) => {
    const look = item.told === 0 ? undefined : lookFor(set.emitter, item)
    return look === undefined ? [] : [{ item, look }]
  })
  for (const { item } of told) emitControl(set, EPOLL_CTL_ADD, item, item.events)
  if (told.length > 0) emitWait(set, told.length, 'ok')
  for (const { item, look } of told) {
    if (look === 'quiet') continue
    const same = look()
    emitControl(set, EPOLL_CTL_MOD, item, item.events)
    same.target = set.emitter.program.here
  }
  return items.filter((item) => !told.some((other) => other.item === item))
}

/** Undefined where it cannot be told whether there is news. */
function lookFor(emitter: Emitter, item: EpollItem): Look | 'quiet' | undefined {
  const { program } = emitter
  const { kind, payload } = emitter.describe(item.description)
  const look = ((): Look | 'quiet' | undefined => {
    if (kind === 'signalfd') return () => lookAtSignals(emitter, item)
    if (kind === 'timerfd') {
      const due = nextDue(payload as TimerFd, emitter.clocks)
      return due === undefined ? 'quiet' : () => program.jump(0, 'less', now(program, due.clock), due.time)
    }
    if (!isReached(emitter, item)) return 'quiet'
    return (item.told & ~WRITING) === 0 ? () => lookAtFile(emitter, item) : undefined
  })()
  return look !== 'quiet' && (item.events & EPOLLEXCLUSIVE) !== 0 ? undefined : look
}

const isReached = ({ ownNetwork, ownMounts }: Emitter, { reach }: EpollItem): boolean =>
  (reach & Reach.anybody) !== 0 || ((reach & Reach.network) !== 0 && !ownNetwork) || ((reach & Reach.files) !== 0 && !ownMounts)

function lookAtSignals({ program, bundle }: Emitter, { pending }: EpollItem): Operation {
  const now = bundle.allocate(SIGSET_BYTES)
  program.call('rt_sigpending', [now, SIGSET_BYTES])
  return program.jump(0, 'equal', program.load(now, 8), BigInt.asIntN(64, pending))
}

function lookAtFile({ program, bundle, descriptorOf }: Emitter, { description, events, told }: EpollItem): Operation {
  const asked = bundle.bytes(new Uint8Array(Uint32Array.of(0, events & POLL_BITS).buffer))
  program.store(asked, descriptorOf(description), 4)
  program.call('poll', [asked, 1, 0])
  return program.jump(0, 'equal', program.load(asked + 6n, 2), told)
}
