/** Times as utimensat(2) takes them, of which a change is an event. */
import { IN_ACCESS, IN_ATTRIB, IN_MODIFY } from './event.js'

const UTIME_NOW = 0x3fff_ffffn
const UTIME_OMIT = 0x3fff_fffen

const timesOf = (accessed: bigint, modified: bigint): Uint8Array => new Uint8Array(BigInt64Array.of(0n, accessed, 0n, modified).buffer)

/** A change of one time of the two is what reading, or writing, comes to. */
const times: ReadonlyMap<number, Uint8Array> = new Map([
  [IN_ACCESS, timesOf(UTIME_NOW, UTIME_OMIT)],
  [IN_MODIFY, timesOf(UTIME_OMIT, UTIME_NOW)],
  [IN_ATTRIB, timesOf(UTIME_NOW, UTIME_NOW)],
])

/** To make an event of this kind. */
export const timesFor = (kind: number): Uint8Array => times.get(kind) ?? timesOf(UTIME_NOW, UTIME_NOW)
