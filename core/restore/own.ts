/** What a process that we fork starts with: settings that are the same in the image need no call, and no privilege. */
import { readFileSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { Credentials, Scheduling } from '../image/model.js'
import { readStatus } from '../proc/status.js'
import { readCredentials } from '../resources/credentials.js'
import type { VdsoPart } from './vdso-move.js'

export interface Own {
  readonly credentials: Credentials
  readonly scheduling: Omit<Scheduling, 'slice'>
  readonly oomScoreAdjustment: number
  /** Empty where the kernel was started without (vdso=0). */
  readonly vdso: readonly VdsoPart[]
}

export function readOwn(): Own {
  return {
    credentials: { ...readCredentials(readStatus(process.pid)), securebits: 0 },
    scheduling: native.readTask(process.pid),
    oomScoreAdjustment: Number(readFileSync('/proc/self/oom_score_adj', 'utf8')),
    vdso: readVdso(),
  }
}

function readVdso(): VdsoPart[] {
  const lines = readFileSync('/proc/self/maps', 'utf8').matchAll(/^([0-9a-f]+)-([0-9a-f]+) .*(\[(?:vdso|vvar\w*)\])$/gm)
  const parts = [...lines].map(([, start, end, name = '']) => ({ name, start: BigInt(`0x${start}`), end: BigInt(`0x${end}`) }))
  const code = parts.find(({ name }) => name === '[vdso]')
  return code === undefined ? [] : parts.map(({ name, start, end }) => ({ name, offset: start - code.start, sizeBytes: end - start }))
}
