/** Which descriptors of a tree refer to which description, found by either. */
import type { DescriptionModel, ImageModel } from '../image/model.js'
import type { Placement } from '../resources/description.js'
import { descriptionKinds, kindNamed } from '../resources/kinds.js'

const ranks: ReadonlyMap<string, number> = new Map(descriptionKinds.map(({ name }, i) => [name, i]))

export class Placements {
  readonly all: readonly Placement[]
  readonly #byDescription = new Map<number, Placement[]>()
  readonly #ofProcess = new Map<number, DescriptionModel[]>()

  constructor({ processes, descriptions }: ImageModel) {
    this.all = processes.flatMap(({ descriptors }, processIndex) =>
      descriptors.map(({ fd, description }) => ({ processIndex, fd, descriptionId: description })),
    )
    for (const placement of this.all) add(this.#byDescription, placement.descriptionId, placement)
    const indexes = new Map(processes.map(({ pid }, i) => [pid, i]))
    for (const description of byKind(descriptions)) {
      const { id, kind, payload } = description
      const arming = kindNamed(kind).armingPids?.(payload) ?? []
      const having = [...this.#of(id).map(({ processIndex }) => processIndex), ...arming.flatMap((pid) => indexes.get(pid) ?? [])]
      for (const processIndex of new Set([this.homeOf(description), ...having])) add(this.#ofProcess, processIndex, description)
    }
  }

  /** Those that a process has anything to do with: has numbers for, is the home of, or arms. By kind. */
  ofProcess(processIndex: number): readonly DescriptionModel[] {
    return this.#ofProcess.get(processIndex) ?? []
  }

  /** Does once what must be done for a description. What is only in flight has no number anywhere, and is at home in the first process. */
  homeOf({ id }: DescriptionModel): number {
    return this.#of(id)[0]?.processIndex ?? 0
  }

  /** Of the descriptors in the home the first one. */
  firstNumber({ id }: DescriptionModel): number | undefined {
    return this.#of(id)[0]?.fd
  }

  numbersIn({ id }: DescriptionModel, processIndex: number): Placement[] {
    return this.#of(id).filter((placement) => placement.processIndex === processIndex)
  }

  #of(id: number): readonly Placement[] {
    return this.#byDescription.get(id) ?? []
  }
}

/** In the order of the list of kinds: epoll sets come last, when everything they watch has its numbers. */
export function byKind(descriptions: readonly DescriptionModel[]): DescriptionModel[] {
  return descriptions.toSorted((a, b) => (ranks.get(a.kind) ?? 0) - (ranks.get(b.kind) ?? 0))
}

function add<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const values = map.get(key)
  if (values === undefined) map.set(key, [value])
  else values.push(value)
}
