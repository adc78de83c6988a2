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

/** What is refused, until all of it can be told at once. */
export class Refusals {
  readonly #refusals: UnsupportedError[] = []

  /** Keeps a refusal for later. @returns undefined when there was one */
  gather<T>(look: () => T): T | undefined {
    try {
      return look()
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error
      this.add(error)
      return undefined
    }
  }

  add(refusal: UnsupportedError): void {
    this.#refusals.push(...(refusal.cause instanceof AggregateError ? (refusal.cause.errors as UnsupportedError[]) : [refusal]))
  }

  /** @throws UnsupportedError that names everything, when there is anything */
  throw(): void {
    const [first] = this.#refusals
    if (first === undefined) return
    if (this.#refusals.length === 1) throw first
    throw new UnsupportedError(this.#commonCode(), this.#refusals.map(({ code, message }) => `[${code}] ${message}`).join('\n'), {
      cause: new AggregateError(this.#refusals),
    })
  }

  /** Both ends of a connection are refused for the same reason. */
  #commonCode(): string {
    const [code, ...others] = new Set(this.#refusals.map((refusal) => refusal.code))
    return code === undefined || others.length > 0 ? 'THAW_UNSUPPORTED' : code
  }
}
