import { FixtureError } from '../errors.js'

/**
 * Fails when something of the engine's own takes far longer than it ever should: a test that waits for it must not wait for good.
 *
 * @param discard is given what comes after that, since nobody else is
 */
export async function before<Value>(
  timeoutMs: number,
  what: string,
  work: Promise<Value>,
  discard?: (value: Value) => unknown,
): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new FixtureError('THAW_STUCK', `${what} was not done after ${timeoutMs / 1000} s.`))
      void work.then(discard).catch(() => {})
    }, timeoutMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
