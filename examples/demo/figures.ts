/** What the demo comes to. Times in milliseconds. */
import type { Percentiles } from '../../bench/result.ts'
import { median, percentiles } from '../../bench/statistics.ts'
import type { TestReport } from './run.ts'

export interface Figures {
  readonly tests: number
  readonly failed: number
  /** From the request until the first instruction of a copy ran. */
  readonly restoreMs: Percentiles
  /** What a test waited for its copy: less, because the next one is made while a test runs. */
  readonly waitMs: Percentiles
  /** A start and a seed, on a sample. */
  readonly coldMs: { readonly p50: number }
  /** What the tests would have waited if each had started the server, less what they did wait, the one warm-up included. */
  readonly savedMs: number
}

/** Waits of all tests, for the plot. */
export const waitsOf = (tests: readonly TestReport[]): number[] => tests.flatMap(({ meta }) => meta.thaw?.waitMs ?? [])
export const startsOf = (tests: readonly TestReport[]): number[] => tests.flatMap(({ meta }) => meta.cold?.startMs ?? [])

export function figuresOf(restored: readonly TestReport[], cold: readonly TestReport[]): Figures {
  const metas = restored.flatMap(({ meta }) => meta.thaw ?? [])
  const warmUps = sumOf(metas.map(({ warmUps }) => warmUps))
  const coldMs = { p50: median(startsOf(cold)) }
  return {
    tests: restored.length,
    failed: [...restored, ...cold].filter(({ status }) => status !== 'passed').length,
    restoreMs: percentiles(metas.map(({ restoreMs }) => restoreMs)),
    waitMs: percentiles(waitsOf(restored)),
    coldMs,
    savedMs: (metas.length - warmUps) * coldMs.p50 - sumOf(waitsOf(restored)),
  }
}

export const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)
