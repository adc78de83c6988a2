/**
 * What is known of a process tree: one value per fact, by a name that is the same before and after, such as
 * `pid 7, thread 9: SigBlk` or `pid 7, mapping 7f0000-7f1000: contents`.
 */
export type Facts = Map<string, string>

/** Where the facts of one process or thread go. */
export class Subject {
  readonly #facts: Facts
  readonly #name: string

  constructor(facts: Facts, name: string) {
    this.#facts = facts
    this.#name = name
  }

  is(what: string, value: string | number | undefined): void {
    if (value !== undefined) this.#facts.set(`${this.#name}: ${what}`, String(value))
  }

  part(name: string): Subject {
    return new Subject(this.#facts, `${this.#name}, ${name}`)
  }
}

/** Turns the caller's pids into those that the tree itself sees; ids outside the tree become `outside`. */
export type PidMap = ReadonlyMap<number, number>

export function asSeenInside(pids: PidMap, pid: number): string {
  return String(pids.get(pid) ?? (pid === 0 ? 0 : 'outside'))
}
