/** The bench: `npm run bench -- [--rows NAMES] [--repeats N] [--json | --markdown]`. See result.ts for what is measured. */
import { Command, InvalidArgumentError } from 'commander'
import { closeCheckpointPool, openHost } from '../dist/core/index.js'
import { programs } from './programs/list.ts'
import type { Program } from './programs/program.ts'
import { printMarkdown } from './markdown.ts'
import { asJson, hasFailed, type FailedRow, type MeasuredRow } from './result.ts'
import { measureRow } from './row.ts'
import { printTable } from './table.ts'

interface Options {
  readonly rows: readonly Program[]
  readonly repeats?: number
  readonly json?: true
  readonly markdown?: true
}

const unusual = programs.filter(({ onlyIfNamed }) => onlyIfNamed).map(({ name }) => name)
const usual = programs.filter(({ onlyIfNamed, missing }) => onlyIfNamed === undefined && missing === undefined)

const { rows, repeats, json, markdown } = new Command('bench')
  .option(
    '--rows <names>',
    `some of ${programs.map(({ name }) => name).join(',')}; without, all but ${unusual.join(',')} and what is not installed`,
    parseRows,
    usual,
  )
  .option('--repeats <count>', 'restores of each kind per row (default: 50; 25 for the big ones)', parseCount)
  .option('--json', 'print an array and nothing else')
  .option('--markdown', "print README's table and nothing else")
  .parse()
  .opts<Options>()

// The folders are removed on exit; everything else goes with this process.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130))

const results = await measure()
if (json) console.log(JSON.stringify(results.map(asJson), undefined, 2))
else if (markdown) printMarkdown(results)
else printTable(results)
if (results.some(hasFailed)) process.exitCode = 1

async function measure(): Promise<(MeasuredRow | FailedRow)[]> {
  await using host = await openHost()
  const results: (MeasuredRow | FailedRow)[] = []
  try {
    for (const program of rows) {
      if (process.stderr.isTTY) process.stderr.write(`measuring ${program.name} …\r`)
      results.push(
        await measureRow(host, program, repeats ?? program.repeats).catch((error: Error) => ({ name: program.name, error: String(error) })),
      )
    }
    return results
  } finally {
    await closeCheckpointPool()
  }
}

function parseRows(names: string): Program[] {
  return names.split(',').map((name) => {
    const program = programs.find((program) => program.name === name)
    if (!program) throw new InvalidArgumentError(`There is no row ${name}.`)
    return program
  })
}

function parseCount(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('It must be a whole number, at least 1.')
  return Number(text)
}
