/** What a process that we fork starts with: settings that are the same in the image need no call, and no privilege. */
import { readFileSync } from 'node:fs'
import { native } from '../../native/index.js'
import type { Credentials, Scheduling } from '../image/model.js'
import { readStatus } from '../proc/status.js'
import { readCredentials } from '../resources/credentials.js'

export interface Own {
  readonly credentials: Credentials
  readonly scheduling: Omit<Scheduling, 'slice'>
  readonly oomScoreAdjustment: number
}

export function readOwn(): Own {
  return {
    credentials: { ...readCredentials(readStatus(process.pid)), securebits: 0 },
    scheduling: native.readTask(process.pid),
    oomScoreAdjustment: Number(readFileSync('/proc/self/oom_score_adj', 'utf8')),
  }
}
