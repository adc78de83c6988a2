/**
 * A process of its own that takes the events out of a queue and puts them back: whoever kills the dumper meanwhile does not stop it half-way. The
 * instance is its descriptor 3; it is told of the watches on its standard input, and tells what there was on its standard output.
 */
import { mkdtempSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { native } from '../../../native/index.js'
import { O_NONBLOCK } from '../open-flags.js'
import { bytesIn, drain, limitOf, withinLimit } from './queue.js'
import { fillQueue } from './fill.js'
import { canHappen, inOrder } from './order.js'
import { callsAtOnce } from './calls.js'
import { encodedBytes, IN_IGNORED, joinEvents, kindOfEvent } from './event.js'
import type { InotifyEvent } from './event.js'
import type { TakeAnswer, TakeRequest } from './take.js'
import { Watches } from './watches.js'

const QUEUE = 3
const F_GETFL = 3
const F_SETFL = 4
/** Each goes on while somebody else changes what is watched. */
const MOST_ROUNDS = 4

for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined)
tell(answer(JSON.parse(readFileSync(0, 'utf8')) as TakeRequest))

function answer(request: TakeRequest): TakeAnswer {
  let folder: string | undefined
  try {
    folder = firstThatTakes(request.folders)
    process.chdir(folder)
    return withoutWaiting(() => take(request))
  } catch (error) {
    return { kind: 'failed', message: (error as Error).message }
  } finally {
    process.chdir('/')
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  }
}

/** A folder of our own. */
function firstThatTakes([folder = '/', ...others]: readonly string[]): string {
  try {
    return mkdtempSync(join(folder, 'thaw-'))
  } catch (error) {
    if (others.length === 0) throw error
    return firstThatTakes(others)
  }
}

/** If the dumper is gone, the tree may read what is to be read here. */
function withoutWaiting<T>(act: () => T): T {
  const flags = Number(native.syscall('fcntl', [QUEUE, F_GETFL]))
  native.syscall('fcntl', [QUEUE, F_SETFL, flags | O_NONBLOCK])
  try {
    return act()
  } finally {
    native.syscall('fcntl', [QUEUE, F_SETFL, flags])
  }
}

function take({ watches: given }: TakeRequest): TakeAnswer {
  using watches = new Watches(QUEUE, given)
  // Only from here on is anything done to the queue.
  let isChanged = false
  try {
    let before: readonly InotifyEvent[] = []
    let heard: readonly InotifyEvent[] = []
    let limit: number | undefined
    for (let round = 0; round < MOST_ROUNDS; round++) {
      using second = watches.listen()
      process.chdir(mkdtempSync('round-'))
      isChanged = true
      const all = drain(QUEUE)
      // What was put back last time, what the second one heard meanwhile, and what has come since; its end is the start of what comes next.
      const known = joinEvents(joinEvents(all.slice(0, before.length), heard), all.slice(before.length))
      const next = watches.remove()
      const since = drain(QUEUE).filter(({ descriptor, mask }) => mask !== IN_IGNORED || !watches.removed.has(descriptor))
      limit ??= limitOf(QUEUE)
      const events = withinLimit(inOrder([...known, ...since]), limit)
      refuseOthers(events)
      fillQueue(callsAtOnce, BigInt(QUEUE), limit, events)
      if (bytesIn(QUEUE) !== encodedBytes(events)) throw new Error('they could not be put back as they were')
      watches.add(next)
      heard = drain(second.fd)
      if (heard.length === 0)
        return { kind: 'taken', events: events.map((event) => ({ ...event, name: Buffer.from(event.name).toString('hex') })), next }
      before = events
    }
    throw new Error('others change all the time what is watched')
  } catch (error) {
    if (isChanged) watches.giveUp()
    throw error
  }
}

function refuseOthers(events: readonly InotifyEvent[]): void {
  const other = events.find((event) => !canHappen(event))
  if (other !== undefined) throw new Error(`an event of the kind 0x${kindOfEvent(other).toString(16)} cannot be put back`)
}

/** Who asked may be gone. */
function tell(told: TakeAnswer): void {
  const bytes = Buffer.from(JSON.stringify(told))
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(1, bytes, at)
  } catch {
    process.exitCode = 1
  }
}
