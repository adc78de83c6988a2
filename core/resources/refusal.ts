/** How a description that is not carried is refused: which process, which descriptor, what it is, what to do. */
import { UnsupportedError } from '../errors.js'
import type { SeenDescription } from './description.js'

/**
 * @param is continues "descriptor 21 …": `is a TCP connection to 10.0.0.5:6379, outside the fixture`
 * @param advice sentences of their own
 */
export function refusal(seen: SeenDescription, code: string, is: string, advice: string): UnsupportedError {
  const { pid, name } = seen.process
  return new UnsupportedError(code, `Cannot checkpoint pid ${pid} (${name}): descriptor ${seen.fd} ${is}. ${advice}`, { pid })
}
