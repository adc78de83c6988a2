/**
 * io_uring(7) with nothing in flight. The kernel maps a ring where it likes; so a new ring is given memory of ours, at the old
 * addresses (IORING_SETUP_NO_MMAP, since Linux 6.5). It counts from zero: no-op requests bring it to where it stood, since programs
 * keep copies of the counters. libuv does not, so for it a long way is left out.
 *
 * The flags of io_uring_setup cannot be read back. Those that change the layout show in the sizes of the mappings; IORING_SETUP_NO_SQARRAY is
 * replaced by an array that says the same. The others change when completions are worked on, not what comes of them.
 */
import { closeSync, openSync } from 'node:fs'
import { native } from '../../native/index.js'
import { defineKind } from './description.js'
import type { DescriptionKind, SeenDescription, SeenTree } from './description.js'
import { askLayout, SQE_BYTES } from './io-uring/layout.js'
import type { RingLayout } from './io-uring/layout.js'
import { IO_URING_LINK, linesOfRing, usesLibuv } from './io-uring/mappings.js'
import type { RingLine } from './io-uring/mappings.js'
import { emitRing } from './io-uring/program.js'
import { verifyRing } from './io-uring/verify.js'
import { lengthOf, longest, MOST_COUNT } from './io-uring/ring.js'
import type { IoUring, RingMapping } from './io-uring/ring.js'
import { ringState } from './io-uring/state.js'
import type { RingState } from './io-uring/state.js'
import { refusal } from './refusal.js'

/** As many requests as one call takes from libuv's rings. */
const CHEAP_COUNT = 256
const PAGE = 4096n

const pages = (bytes: number): bigint => ((BigInt(bytes) + PAGE - 1n) / PAGE) * PAGE

export const ioUring: DescriptionKind<unknown> = defineKind<IoUring>({
  name: 'io_uring',
  support: {
    topic: 'descriptors',
    carried: 'idle io_uring',
    conditions: [
      'Flags that an io_uring was set up with and that change only when completions are worked on (`IORING_SETUP_COOP_TASKRUN`, `SINGLE_ISSUER`, `DEFER_TASKRUN` and the like) are lost.',
      'Nothing tells of a ring descriptor that a thread has registered for itself (`IORING_REGISTER_RING_FDS`): the copy is without it.',
    ],
    refused: {
      THAW_IO_URING_BUSY: 'io_uring with requests in flight',
      THAW_IO_URING_REGISTERED: 'io_uring with what was registered',
      THAW_IO_URING_ISSUER: 'io_uring that a thread other than the first alone submits to',
      THAW_IO_URING_SQPOLL: 'io_uring polled by the kernel',
      THAW_IO_URING_DISABLED: 'io_uring not yet enabled',
      THAW_IO_URING_MEMORY: 'io_uring whose memory is not mapped where it was made',
      THAW_IO_URING_COUNTERS: 'io_uring that has taken more requests than can be made up for',
      THAW_IO_URING_NO_DESCRIPTOR: 'io_uring whose descriptor is closed',
    },
  },

  recognises: ({ link }) => link === IO_URING_LINK,

  collect(seen, tree) {
    const state = ringState(seen, tree)
    const { sqEntries, cqEntries } = state
    const { cqesEnd, ...offsets } = askLayout(sqEntries, cqEntries)
    const lines = linesOfRing(seen, tree)
    const { rings, sqes } = memoryOf(seen, lines, state, { cqesEnd, ...offsets })
    const count = countOf(seen, tree, state)
    const startsOver = count !== state.count
    const memory = tree.frozen ? readMemory(seen.process.pid, rings, sqes) : { rings: new Uint8Array(), sqes: new Uint8Array() }
    return {
      ...offsets,
      fd: seen.fd,
      sqEntries,
      cqEntries,
      count,
      sqArray: lengthOf(rings) === bytesWithArray(state, offsets),
      emptyArray: memory.rings.subarray(offsets.array, offsets.array + sqEntries * 4).every((byte) => byte === 0),
      mappings: lines.map(ringMapping),
      rings: startsOver ? new Uint8Array() : trimmed(memory.rings),
      sqes: startsOver ? new Uint8Array() : trimmed(memory.sqes),
    }
  },

  verify: verifyRing,

  ofMemory: true,

  open: emitRing,
})

const bytesWithArray = ({ sqEntries }: RingState, { array }: Pick<RingLayout, 'array'>): bigint => pages(array + sqEntries * 4)

/** The mappings that hold all of the ring, which must have just the sizes that entries of the usual kind need. */
function memoryOf(
  seen: SeenDescription,
  lines: readonly RingLine[],
  state: RingState,
  layout: RingLayout,
): { rings: RingLine; sqes: RingLine } {
  const [rings, sqes] = [longest(lines, false), longest(lines, true)]
  if (rings === undefined || sqes === undefined)
    throw refusal(seen, 'THAW_IO_URING_MEMORY', 'is an io_uring whose memory it has not mapped', 'Map it, or close the ring.')
  const fits = lengthOf(rings) >= pages(layout.cqesEnd) && lengthOf(rings) <= bytesWithArray(state, layout)
  if (fits && lengthOf(sqes) === pages(state.sqEntries * SQE_BYTES)) return { rings, sqes }
  const is = 'is an io_uring with entries of another size (IORING_SETUP_SQE128, IORING_SETUP_CQE32), or mapped in part'
  throw refusal(seen, 'THAW_IO_URING_MEMORY', is, 'Close it in the warm-up.')
}

/** Where the counters stand after the restore: where they were, or at the start. */
function countOf(seen: SeenDescription, tree: SeenTree, { count, empty }: RingState): number {
  if (count <= CHEAP_COUNT) return count
  if (empty && usesLibuv(seen.process, tree)) return 0
  if (count <= MOST_COUNT) return count
  const is = `is an io_uring that has taken ${count} requests, more than can be made up for`
  throw refusal(seen, 'THAW_IO_URING_COUNTERS', is, 'Checkpoint earlier, or make a new ring before the checkpoint.')
}

function ringMapping({ start, end, sqes, permissions, flags }: RingLine): RingMapping {
  const protection = (permissions[0] === 'r' ? 1 : 0) | (permissions[1] === 'w' ? 2 : 0) | (permissions[2] === 'x' ? 4 : 0)
  return { start, end, sqes, protection, dontFork: flags.has('dc') }
}

function readMemory(pid: number, rings: RingLine, sqes: RingLine): { rings: Uint8Array; sqes: Uint8Array } {
  const fd = openSync(`/proc/${pid}/mem`, 'r')
  try {
    const read = (line: RingLine): Uint8Array => native.readAt(fd, line.start, Number(lengthOf(line)))
    return { rings: read(rings), sqes: read(sqes) }
  } finally {
    closeSync(fd)
  }
}

function trimmed(bytes: Uint8Array): Uint8Array {
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0) end--
  return bytes.slice(0, end)
}
