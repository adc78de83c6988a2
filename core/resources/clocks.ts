/** Clocks (time_namespaces(7)): monotonic and boot time go on from where they stood. */
import { readFileSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { Clocks } from '../image/model.js'
import type { Support } from './support.js'

export const support: Support = { topic: 'around the tree', carried: 'monotonic and boot clocks go on' }

const CLOCK_REALTIME = 0
const CLOCK_MONOTONIC = 1
const CLOCK_BOOTTIME = 7

/** The clocks as a process sees them now, in whatever time namespace it is. */
export function collectClocks(pid: number): Clocks {
  const offsets = offsetsOf(pid)
  const taken = native.clockGettime(CLOCK_MONOTONIC)
  return {
    taken,
    monotonic: taken + offsets.monotonic - offsetsOf(process.pid).monotonic,
    boottime: native.clockGettime(CLOCK_BOOTTIME) + offsets.boottime - offsetsOf(process.pid).boottime,
    realtime: native.clockGettime(CLOCK_REALTIME),
  }
}

/** What the time namespace of a process adds to the machine's clocks. */
export function offsetsOf(pid: number): { monotonic: bigint; boottime: bigint } {
  const text = readFileSync(`/proc/${pid}/timens_offsets`, 'utf8')
  const offset = (clock: string): bigint => {
    const match = new RegExp(`^${clock}\\s+(-?\\d+)\\s+(-?\\d+)`, 'm').exec(text)
    return BigInt(match?.[1] ?? 0) * 1_000_000_000n + BigInt(match?.[2] ?? 0)
  }
  return { monotonic: offset('monotonic'), boottime: offset('boottime') }
}

/** What is written to timens_offsets of a namespace nobody entered yet, so that its clocks stand where the image's stood. */
export function offsetsFor(clocks: Clocks): string {
  const own = offsetsOf(process.pid)
  const line = (name: string, wanted: bigint, now: bigint): string => {
    const offset = wanted - now
    const seconds = offset >= 0n ? offset / 1_000_000_000n : -((-offset + 999_999_999n) / 1_000_000_000n)
    return `${name} ${seconds} ${offset - seconds * 1_000_000_000n}\n`
  }
  const monotonic = native.clockGettime(CLOCK_MONOTONIC) - own.monotonic
  const boottime = native.clockGettime(CLOCK_BOOTTIME) - own.boottime
  return line('monotonic', clocks.monotonic, monotonic) + line('boottime', clocks.boottime, boottime)
}
