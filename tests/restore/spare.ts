/** What a template makes ahead for the next restore (core/restore/spawning.ts). */

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const TIMEOUT_MS = 20_000
const RECVMSG = 47

/** The pid of the next spare, once all is made and it waits to be asked. */
export async function spareOf(template: { readonly pid: number }): Promise<number> {
  for (const giveUpAt = performance.now() + TIMEOUT_MS; performance.now() < giveUpAt; await sleep(2)) {
    const spare = read(`/proc/${template.pid}/task/${template.pid}/children`).trim()
    if (spare !== '' && read(`/proc/${spare}/syscall`).startsWith(`${RECVMSG} `)) return Number(spare)
  }
  throw new Error(`no spare for ${TIMEOUT_MS} ms`)
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it has just ended
  }
}
