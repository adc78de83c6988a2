/** What two descriptions of one process tree do not have in common. */

import type { Description } from './describe.ts'

export interface CompareOptions {
  /** Facts that may differ: those whose name, such as `pid 7, descriptor 1: target`, has the text in it or matches. */
  readonly except?: readonly (string | RegExp)[]
}

/** The one mapping that a restore leaves behind, the interpreter, known by its name. */
const LEFT_BEHIND = /, mapping \S+ \/memfd:thaw-/

/** @returns one sentence per difference; none when the tree looks the same to itself */
export function compare(before: Description, after: Description, { except = [] }: CompareOptions = {}): string[] {
  const excepted = (name: string) => [LEFT_BEHIND, ...except].some((one) => (typeof one === 'string' ? name.includes(one) : one.test(name)))
  const [gone, added] = [wholly(before, after), wholly(after, before)]
  const names = [...new Set([...before.facts.keys(), ...after.facts.keys()])].filter((name) => !excepted(name))
  return [
    ...new Set(names.flatMap((name) => inWhole(name, gone, added) ?? difference(name, before.facts.get(name), after.facts.get(name)))),
  ]
}

const subjectOf = (name: string): string => name.slice(0, name.lastIndexOf(': '))

/** Threads, descriptors and mappings of which the other description knows nothing at all. */
function wholly(these: Description, others: Description): ReadonlySet<string> {
  const known = new Set([...others.facts.keys()].map(subjectOf))
  return new Set([...these.facts.keys()].map(subjectOf).filter((subject) => !known.has(subject)))
}

/** One sentence for all the facts of a subject that is there only once. */
function inWhole(name: string, gone: ReadonlySet<string>, added: ReadonlySet<string>): string[] | undefined {
  const subject = subjectOf(name)
  if (gone.has(subject)) return [`${subject} is gone`]
  if (added.has(subject)) return [`${subject} is new`]
  return undefined
}

function difference(name: string, before: string | undefined, after: string | undefined): string[] {
  if (before === after) return []
  if (before === undefined) return [`${name} is new: ${shown(after)}`]
  if (after === undefined) return [`${name} is gone: it was ${shown(before)}`]
  return [`${name} was ${shown(before)}, is ${shown(after)}`]
}

function shown(value: string | undefined): string {
  const text = JSON.stringify(value ?? '')
  return text.length > 300 ? `${text.slice(0, 300)}…` : text
}
