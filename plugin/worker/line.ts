import { EngineClient } from './engine-client.js'
import { rendezvous } from './rendezvous.js'

const KEY: unique symbol = Symbol.for('vitest-thaw.line')

class Line {
  readonly opening: Promise<EngineClient>
  #state: EngineClient | 'opening' | 'failed' = 'opening'

  constructor(opening: Promise<EngineClient>) {
    this.opening = opening
    void this.#follow()
  }

  /** Whether the next test has to open another one. */
  get broken(): boolean {
    return this.#state === 'failed' || (this.#state !== 'opening' && this.#state.closed)
  }

  async #follow(): Promise<void> {
    try {
      this.#state = await this.opening
    } catch {
      this.#state = 'failed'
    }
  }
}

/** The line of this worker, kept over test files, for which modules may be loaded anew; unless each has a global object of its own. */
const kept = globalThis as typeof globalThis & { [KEY]?: Line }

export function engineClient(): Promise<EngineClient> {
  const line = kept[KEY]
  if (line && !line.broken) return line.opening
  const next = new Line(EngineClient.open(rendezvous()))
  kept[KEY] = next
  return next.opening
}

/** Called at the end of a file that takes its line with it: nobody could find that again. */
export function closeLine(): void {
  const line = kept[KEY]
  delete kept[KEY]
  void line?.opening.then(
    (client) => client.close(),
    () => {},
  )
}
