/** Writes what is carried, and what is refused, into README, from what the resources say of themselves: `npm run table`. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { topics } from '../dist/core/resources/support.js'
import { supports } from '../dist/core/supports.js'

export const README: string = fileURLToPath(new URL('../README.md', import.meta.url))
const BEGIN = '<!-- Written by `npm run table` -->'
const END = '<!-- Up to here -->'

/** A README with what is between the two marks made anew. */
export function withTable(readme: string): string {
  const [from, to] = [readme.indexOf(BEGIN), readme.indexOf(END)]
  if (from < 0 || to < from) throw new Error(`README has lost its marks, ${BEGIN} and ${END}`)
  return [readme.slice(0, from) + BEGIN, ...sections(), readme.slice(to)].join('\n\n')
}

function* sections(): Generator<string> {
  const rows = topics.map((topic) => [topic, listed(topic, carried), listed(topic, refused)])
  yield table(['', 'carried', 'refused by name'], rows)
  yield '\\* Known not to be exact, or under a condition:'
  yield supports.flatMap(({ conditions = [] }) => conditions.map((sentences) => `- ${sentences}`)).join('\n')
  const codes = supports.flatMap((support) => Object.entries(support.refused ?? {}))
  const sorted = codes.sort(([one], [other]) => (one < other ? -1 : 1)).map(([code, what]) => [`\`${code}\``, what])
  yield '<details><summary>Codes of what is refused: the error itself says which process, which descriptor or mapping, and what to do</summary>'
  yield table(['code', 'what'], sorted)
  yield '</details>'
}

type Told = (support: (typeof supports)[number]) => readonly string[]

const carried: Told = ({ carried, conditions = [] }) => (carried === undefined ? [] : [carried + (conditions.length > 0 ? '\\*' : '')])
const refused: Told = ({ refused = {} }) => Object.values(refused)

const listed = (topic: (typeof topics)[number], told: Told): string =>
  supports.flatMap((support) => (support.topic === topic ? told(support) : [])).join('; ')

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`.replaceAll('|  |', '| |')).join('\n')

if (import.meta.filename === process.argv[1]) writeFileSync(README, withTable(readFileSync(README, 'utf8')))
