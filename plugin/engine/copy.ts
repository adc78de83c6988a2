import type { Instance, Sandbox } from '../../core/index.js'
import type { Acquired } from '../protocol/messages.js'
import type { OutputPipes } from './output.js'
import { nextPlaceId } from './place.js'

type Origin = Pick<Extract<Acquired, { type: 'instance' }>, 'value' | 'warmUpMs' | 'warmingMs'>

interface Ending {
  readonly isExclusive: boolean
  readonly takeDown: () => void
}

/** An instance in the hands of a test. */
export class Copy {
  readonly kind = 'copy'
  readonly id: number = nextPlaceId()
  readonly #instance: Instance
  readonly #output: OutputPipes
  readonly #origin: Origin
  /** Others of its fixture must not be there, or run, before it is gone. */
  readonly isExclusive: boolean
  readonly #takeDown: () => void

  constructor(instance: Instance, output: OutputPipes, origin: Origin, { isExclusive, takeDown }: Ending) {
    this.#instance = instance
    this.#output = output
    this.#origin = origin
    this.isExclusive = isExclusive
    this.#takeDown = takeDown
  }

  async sandbox(): Promise<Sandbox> {
    return this.#instance.sandbox
  }

  get description(): Acquired & { readonly type: 'instance' } {
    const { restoreMs } = this.#instance.timings
    return { type: 'instance', place: this.id, ...this.#origin, restoreMs }
  }

  /** The reading ends of stdout and stderr, which then belong to the caller. */
  takeOutput(): readonly number[] {
    return this.#output.takeReaders()
  }

  leave(): void {
    this.#output.close()
    this.#takeDown()
  }
}
