/** Which descriptions of an image lead to processes or threads, and so wait until all of these are there; and which wait because of them. */
import type { DescriptionModel, ImageModel } from '../image/model.js'
import { kindNamed } from '../resources/kinds.js'
import { areThreadsOwners } from '../resources/owner.js'

export class Leads {
  /** What they, or owners of any, lead to, and wait for; undefined: there are none. */
  readonly to: 'processes' | 'threads' | undefined
  readonly #ids: ReadonlySet<number>
  readonly #connecting = new Set<DescriptionModel>()
  /** One whose name is gone from the file system may be needed by it until another of its kind is connected. */
  readonly #placing: ReadonlySet<string>

  constructor(image: ImageModel) {
    const { descriptions } = image
    const needs = new Map(descriptions.flatMap(({ id, kind, payload }) => [[id, kindNamed(kind).leadsTo?.(payload)] as const]))
    this.#ids = new Set([...needs].filter(([, need]) => need !== undefined).map(([id]) => id))
    const toThreads = [...needs.values()].includes('threads') || areThreadsOwners(image)
    this.to = toThreads ? 'threads' : this.#ids.size === 0 ? undefined : 'processes'
    if (this.#ids.size > 0)
      for (const description of descriptions) {
        const { id, kind, payload } = description
        if (this.#ids.has(id) || kindNamed(kind).awaits?.(payload, this.#ids) === true) this.#connecting.add(description)
      }
    this.#placing = new Set([...this.#connecting].map(({ kind }) => kind))
  }

  get ids(): ReadonlySet<number> {
    return this.#ids
  }

  opens = ({ id }: DescriptionModel): boolean => this.#ids.has(id)
  connects = (description: DescriptionModel): boolean => this.#connecting.has(description)
  places = ({ kind }: DescriptionModel): boolean => this.#placing.has(kind)
}
