/** Blocks this thread, to which ptrace ties everything that a freeze does. */
export const pause = (ms: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
