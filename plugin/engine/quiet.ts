import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/** State column of /proc/PID/net/tcp: the peer has closed, the owner has not yet. See include/net/tcp_states.h. */
const CLOSE_WAIT = '08'
const PATIENCE_MS = 1000

/**
 * Waits until the fixture has noticed that the warm-up closed its connections. A checkpoint a moment earlier would find
 * half-closed connections to outside. What is still there after a second is left to the checkpoint to judge.
 */
export async function connectionsClosed(pid: number): Promise<void> {
  const giveUpAt = performance.now() + PATIENCE_MS
  while (await hasHalfClosed(pid)) {
    if (performance.now() > giveUpAt) return
    await sleep(2)
  }
}

async function hasHalfClosed(pid: number): Promise<boolean> {
  const tables = await Promise.all(['tcp', 'tcp6'].map((table) => readFile(`/proc/${pid}/net/${table}`, 'utf8').catch(() => '')))
  return tables.some((table) => table.split('\n').some((line) => line.trim().split(/\s+/)[3] === CLOSE_WAIT))
}
