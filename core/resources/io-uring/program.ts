/** A ring in a program: memory at the old addresses, the ring in it, its counters, its contents. */
import { contradiction } from '../../image/contradiction.js'
import type { Cell } from '../../program/bundle.js'
import type { Program } from '../../program/program.js'
import type { Emitter } from '../description.js'
import { closeDescriptor } from '../emission.js'
import { CQ_OFF, IORING_SETUP_CQSIZE, IORING_SETUP_NO_MMAP, IORING_SETUP_NO_SQARRAY, ringParams, SQ_OFF, USER_ADDR } from './layout.js'
import { restoredName } from './mappings.js'
import { lengthOf, longest } from './ring.js'
import type { IoUring } from './ring.js'

const MFD_CLOEXEC = 1
const MAP_SHARED = 0x1
const MAP_FIXED_NOREPLACE = 0x10_0000
const MADV_DONTFORK = 10

export function emitRing(ring: IoUring, emitter: Emitter): Cell {
  const [rings, sqes] = [longest(ring.mappings, false), longest(ring.mappings, true)]
  if (rings === undefined || sqes === undefined) throw contradiction('an io_uring has no memory')
  mapMemory(ring, emitter, lengthOf(rings), lengthOf(sqes))
  const fd = setUp(ring, emitter, rings.start, sqes.start)
  countUp(ring, emitter.program, fd, rings.start)
  fillMemory(ring, emitter, rings.start, sqes.start)
  return fd
}

/** One memfd for all mappings of the ring: the rings first, the submission entries behind them. */
function mapMemory(ring: IoUring, { program, bundle }: Emitter, ringsBytes: bigint, sqesBytes: bigint): void {
  const memory = program.call('memfd_create', [bundle.string(restoredName(ring.fd)), MFD_CLOEXEC])
  program.call('ftruncate', [memory, ringsBytes + sqesBytes])
  for (const mapping of ring.mappings) {
    const flags = MAP_SHARED | MAP_FIXED_NOREPLACE
    const args = [mapping.start, lengthOf(mapping), mapping.protection, flags, memory, mapping.sqes ? ringsBytes : 0]
    program.call('mmap', args, { equal: mapping.start })
    if (mapping.dontFork) program.call('madvise', [mapping.start, lengthOf(mapping), MADV_DONTFORK])
  }
  closeDescriptor(program, memory)
}

function setUp(ring: IoUring, emitter: Emitter, rings: bigint, sqes: bigint): Cell {
  const { program, bundle } = emitter
  const flags = IORING_SETUP_CQSIZE | IORING_SETUP_NO_MMAP | (ring.sqArray ? 0 : IORING_SETUP_NO_SQARRAY)
  const params = ringParams(ring.sqEntries, ring.cqEntries, flags)
  const view = new DataView(params.buffer)
  view.setBigUint64(SQ_OFF + USER_ADDR, sqes, true)
  view.setBigUint64(CQ_OFF + USER_ADDR, rings, true)
  return emitter.raise(program.call('io_uring_setup', [ring.sqEntries, bundle.bytes(params)]))
}

/** Zeroed submission entries are no-op requests. Each completes at once. */
function countUp({ count, sqEntries, sqTail, cqHead }: IoUring, program: Program, fd: Cell, rings: bigint): void {
  for (let done = 0; done < count;) {
    const batch = Math.min(sqEntries, count - done)
    done += batch
    program.store(rings + BigInt(sqTail), done, 4)
    program.call('io_uring_enter', [fd, batch, 0, 0, 0, 0], { equal: batch })
    program.store(rings + BigInt(cqHead), done, 4)
  }
}

function fillMemory(ring: IoUring, { program, bundle }: Emitter, rings: bigint, sqes: bigint): void {
  if (ring.rings.length > 0) program.copy(rings, bundle.bytes(ring.rings), ring.rings.length)
  if (ring.sqes.length > 0) program.copy(sqes, bundle.bytes(ring.sqes), ring.sqes.length)
  // A ring that starts over is libuv's, whose array, if it has one, only ever says the same.
  const saysNothing = ring.emptyArray || ring.rings.length === 0
  if (!ring.sqArray || !saysNothing) return
  const identity = new Uint8Array(Uint32Array.from({ length: ring.sqEntries }, (_, index) => index).buffer)
  program.copy(rings + BigInt(ring.array), bundle.bytes(identity), identity.length)
}
