import { FixtureError } from '../errors.js'

/** Fails when something of the engine's own takes far longer than it ever should: a test that waits for it must not wait for good. */
export async function before<Value>(timeoutMs: number, what: string, work: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new FixtureError('THAW_STUCK', `${what} was not done after ${timeoutMs / 1000} s.`)), timeoutMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
