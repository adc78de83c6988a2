/** thaw check: what this machine can do. */
import Table from 'cli-table3'
import type { Command } from 'commander'
import { checkMachine } from '../../check/check.js'
import type { CheckReport } from '../../check/check.js'
import { withOutputOptions } from '../arguments.js'
import { ExitCode } from '../exit-code.js'
import type { Output, OutputOptions } from '../output.js'
import type { Perform } from '../run.js'
import { enterUserNamespace } from '../user-namespace.js'

export function addCheck(program: Command, perform: Perform): void {
  const command = program
    .command('check')
    .description('Try what this machine can do, and say why not. Exits with 3 where nothing can be restored.')
  withOutputOptions(command).action((options: OutputOptions) => perform(options, check))
}

async function check(output: Output): Promise<number | void> {
  try {
    enterUserNamespace()
  } catch {
    // Told by what fails for it.
  }
  const report = await checkMachine((name) => output.step(`check: ${name}`))
  output.result(report, describeReport(report))
  return report.canRestore ? ExitCode.done : ExitCode.unsupported
}

/** Every border of cli-table3, gone. */
const noBorders = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid', 'middle'].flatMap((edge) =>
    ['', '-mid', '-left', '-right'].map((corner) => [`${edge}${corner}`, '']),
  ),
)

function describeReport({ features, canCheckpoint, canRestore }: CheckReport): string {
  const table = new Table({ chars: { ...noBorders, middle: '  ' }, style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] } })
  for (const { name, neededFor, works, reason } of features)
    table.push([works ? 'yes' : 'no', name, works ? '' : `needed for ${neededFor}`, reason])
  const rows = table.toString().replaceAll(/ +$/gm, '')
  return `${rows}\n\nThis machine ${able(canCheckpoint)} checkpoint and ${able(canRestore)} restore.`
}

const able = (can: boolean): string => (can ? 'can' : 'cannot')
