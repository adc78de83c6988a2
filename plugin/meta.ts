/** What a test's restores cost: `task.meta.thaw`, which reporters and the JSON report see. */
export interface ThawMeta {
  /** From the request until the first instruction of the copy ran; stacked fixtures added up, retries and repeats not: the last one counts. */
  readonly restoreMs: number
  /** What the test waited for it. Mostly less, because the next copy is made while a test runs. A warm-up is not in it. */
  readonly waitMs: number
  /** How many copies the test was given in all. */
  readonly restores: number
  /** How many warm-ups ran for it, because it was the first to ask. */
  readonly warmUps: number
  /** What starting and warming up would have taken instead, less what was waited; negative for the test that did warm up. */
  readonly savedMs: number
}

declare module 'vitest' {
  interface TaskMeta {
    thaw?: ThawMeta
  }
}
