/** At most so many at once. The others wait for their turn, in the order in which they came. */
export class Limit {
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(atOnce: number) {
    this.#free = atOnce
  }

  async run<Value>(work: () => Promise<Value>): Promise<Value> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      // To the next one directly: nobody who comes in between gets ahead of it.
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }
}
