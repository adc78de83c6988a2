/** What `thaw()` takes. */
export interface ThawOptions {
  /**
   * How long a warm-up may take in all, in milliseconds; a fixture can have its own. It does not count against `testTimeout`.
   * `0` or `Infinity` is no limit, but that no test waits for longer than an hour.
   * @default 120_000
   */
  readonly warmUpTimeoutMs?: number
}
