import { FixtureError } from './errors.js'

/** The longest delay of a timer, 24 days. Node makes 1 ms of a longer one, and of what is no number. */
const LONGEST_MS = 2 ** 31 - 1

/** `0` and `Infinity` are no limit, as in Vitest's own timeouts. */
export const isLimit = (timeoutMs: number): boolean => timeoutMs !== 0 && timeoutMs !== Number.POSITIVE_INFINITY

/** Throws for what a timer would make 1 ms of. */
export function checkTimeout(option: string, timeoutMs: number | undefined): void {
  if (timeoutMs === undefined || (typeof timeoutMs === 'number' && (!isLimit(timeoutMs) || (timeoutMs > 0 && timeoutMs <= LONGEST_MS))))
    return
  const given = typeof timeoutMs === 'number' ? String(timeoutMs) : JSON.stringify(timeoutMs)
  throw new FixtureError('THAW_TIMEOUT', `${option} is ${given}: it takes milliseconds, up to ${LONGEST_MS}. 0 or Infinity is no limit.`)
}
