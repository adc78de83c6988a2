/** In the process of an epoll set, by its parasite: takes all that is yet to be reported, and puts it back, in one go whatever happens to the dumper. */
import type { ParasiteResults } from '../checkpoint/parasite.js'
import type { Program } from '../program/program.js'
import { isReportedOnce } from './epoll-items.js'
import type { Registration } from './epoll-items.js'
import { EPOLL_CTL_MOD, EVENT_BYTES, eventOf } from './epoll-registration.js'

export interface Taken {
  /** Whether it was among what was yet to be reported. */
  listed(registration: Registration, results: ParasiteResults): boolean
}

/** In the table: data, number, address of the event, and whether it was reported. */
const ROW_BYTES = 32n
const [NUMBER, EVENT, LISTED] = [8n, 16n, 24n]

/** @param armed all that may be reported, each with data of its own */
export function emitTakeAndPutBack(program: Program, set: number, armed: readonly Registration[]): Taken {
  const { bundle } = program
  const rows = armed.filter(({ item }) => isReportedOnce(item))
  const table = bundle.words(...rows.flatMap(({ item }) => [item.data, item.fd, bundle.bytes(eventOf(item, item.events)), 0]))
  const end = table + ROW_BYTES * BigInt(rows.length)
  const events = bundle.allocate(EVENT_BYTES * armed.length)
  const [at, row] = [bundle.words(events), bundle.words(0)]
  const count = program.call('epoll_wait', [set, events, armed.length, 0], 'any')
  const nothing = program.jump(0, 'less', count, 1)
  const last = program.sum(events, program.product(count, EVENT_BYTES))
  const next = program.here
  const data = program.load(program.sum(program.load(at, 8), 4), 8)
  program.store(row, table, 8)
  const look = program.here
  // Level-triggered: it has stayed.
  const other = program.jump(0, 'equal', program.load(row, 8), end)
  const found = program.jump(0, 'equal', program.load(program.load(row, 8), 8), data)
  program.store(row, program.sum(program.load(row, 8), ROW_BYTES), 8)
  program.jump(look)
  found.target = program.here
  const here = program.load(row, 8)
  const [number, event] = [program.load(program.sum(here, NUMBER), 4), program.load(program.sum(here, EVENT), 8)]
  program.call('epoll_ctl', [set, EPOLL_CTL_MOD, number, event], 'any')
  program.store(program.sum(here, LISTED), 1, 8)
  other.target = program.here
  program.store(at, program.sum(program.load(at, 8), EVENT_BYTES), 8)
  program.jump(next, 'less', program.load(at, 8), last)
  nothing.target = program.here
  return {
    listed: (registration, results) => {
      const index = rows.indexOf(registration)
      return index >= 0 && results.bytes(table + ROW_BYTES * BigInt(index) + LISTED, 1)[0] === 1
    },
  }
}
