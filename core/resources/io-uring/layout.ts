/** Where things stand in the memory of a ring: asked from the kernel, which lays it out differently from one version to the next. */
import { closeSync } from 'node:fs'
import { native } from '../../../native/index.js'

export interface RingLayout {
  readonly sqHead: number
  readonly sqTail: number
  /** The array of indices between the ring and the submission entries. */
  readonly array: number
  readonly cqHead: number
  readonly cqTail: number
  /** End of the completion entries: all there is without the array. */
  readonly cqesEnd: number
}

/** struct io_uring_params (linux/io_uring.h), with struct io_sqring_offsets and struct io_cqring_offsets in it. */
export const PARAMS_BYTES = 120
export const SQ_OFF = 40
export const CQ_OFF = 80
export const USER_ADDR = 32
export const CQE_BYTES = 16
export const SQE_BYTES = 64
export const IORING_SETUP_CQSIZE = 0x8
export const IORING_SETUP_NO_MMAP = 0x4000
export const IORING_SETUP_NO_SQARRAY = 0x1_0000

const known = new Map<string, RingLayout>()

/** Makes a ring of these sizes for a moment, once. */
export function askLayout(sqEntries: number, cqEntries: number): RingLayout {
  const key = `${sqEntries} ${cqEntries}`
  const layout = known.get(key) ?? ask(sqEntries, cqEntries)
  known.set(key, layout)
  return layout
}

function ask(sqEntries: number, cqEntries: number): RingLayout {
  const params = ringParams(sqEntries, cqEntries, IORING_SETUP_CQSIZE)
  const fd = Number(native.syscall('io_uring_setup', [sqEntries, params]))
  closeSync(fd)
  const word = (offset: number): number => new DataView(params.buffer).getUint32(offset, true)
  const cqes = word(CQ_OFF + 20)
  return {
    sqHead: word(SQ_OFF),
    sqTail: word(SQ_OFF + 4),
    array: word(SQ_OFF + 24),
    cqHead: word(CQ_OFF),
    cqTail: word(CQ_OFF + 4),
    cqesEnd: cqes + cqEntries * CQE_BYTES,
  }
}

export function ringParams(sqEntries: number, cqEntries: number, flags: number): Uint8Array {
  const params = new Uint8Array(PARAMS_BYTES)
  const view = new DataView(params.buffer)
  view.setUint32(0, sqEntries, true)
  view.setUint32(4, cqEntries, true)
  view.setUint32(8, flags, true)
  return params
}
