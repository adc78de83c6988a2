import { readdirSync, readlinkSync } from 'node:fs'
import { expect } from 'vitest'
import { test } from 'vitest-thaw'
import { counter } from './counter.ts'

const sockets = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:')
    } catch {
      return false // the folder's own
    }
  }).length

/** Kept by the worker over its files: `process` is the same object in all of them. */
const kept = process as typeof process & { socketsOfFirst?: number }

/** For a test file each: the twelfth in a worker has no more sockets than the first, but for those of the file before that are being closed. */
export function looks(): void {
  test.withSnapshot(counter)('a line', () => {
    kept.socketsOfFirst ??= sockets()
    expect(sockets()).toBeLessThan(kept.socketsOfFirst + 4)
    expect(process.listenerCount('disconnect')).toBeLessThan(4)
  })
}
