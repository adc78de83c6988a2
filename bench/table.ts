/** The table for people: a column per program, with the ratios that say how good it is. */
import Table from 'cli-table3'
import { hasFailed, type CriuResult, type FailedRow, type MeasuredRow, type Percentiles } from './result.ts'

const MEGABYTE = 1 << 20

interface Line {
  readonly head: string
  readonly cell: (row: MeasuredRow) => string
}

const lines: readonly Line[] = [
  { head: 'memory carried, MB', cell: ({ megabytes }) => String(megabytes) },
  { head: 'processes', cell: ({ processes }) => String(processes) },
  { head: 'threads', cell: ({ threads, processes }) => String(threads + processes) },
  { head: 'cold start', cell: ({ coldMs }) => coldMs.toFixed(0) },
  { head: 'checkpoint, to disk', cell: ({ checkpointMs }) => checkpointMs.toFixed(0) },
  { head: '  stood still', cell: ({ standstillMs }) => standstillMs.toFixed(1) },
  { head: '  per 100 MB', cell: ({ standstillMs, megabytes }) => ((standstillMs / Math.max(megabytes, 1)) * 100).toFixed(1) },
  { head: 'load', cell: ({ loadMs }) => loadMs.toFixed(0) },
  { head: 'restore', cell: ({ restoreMs }) => pair(restoreMs) },
  { head: '  floor', cell: ({ floorMs }) => floorMs.toFixed(2) },
  { head: '  restore / floor', cell: ({ restoreMs, floorMs }) => (restoreMs.p50 / floorMs).toFixed(1) },
  { head: 'restore, own network', cell: ({ restoreNetMs }) => pair(restoreNetMs) },
  { head: '  floor', cell: ({ floorNetMs }) => floorNetMs.toFixed(2) },
  { head: '  restore / floor', cell: ({ restoreNetMs, floorNetMs }) => (restoreNetMs.p50 / floorNetMs).toFixed(1) },
  { head: 'a test waits', cell: ({ waitMs }) => pair(waitMs) },
  { head: 'CRIU dump / restore', cell: ({ criu }) => criuCell(criu) },
  { head: 'image on disk, MB', cell: ({ imageBytes }) => (imageBytes / MEGABYTE).toFixed(0) },
  { head: 'one more copy, MB', cell: ({ instanceBytes }) => (instanceBytes / MEGABYTE).toFixed(1) },
]

export function printTable(rows: readonly (MeasuredRow | FailedRow)[]): void {
  const measured = rows.filter((row): row is MeasuredRow => !hasFailed(row))
  if (measured.length > 0) {
    const table = new Table({
      head: ['ms; pairs: p50 / p95', ...measured.map(({ name }) => name)],
      colAligns: ['left', ...measured.map(() => 'right' as const)],
      style: { head: [], border: [], compact: true },
    })
    for (const { head, cell } of lines) table.push([head, ...measured.map(cell)])
    console.log(table.toString())
  }
  for (const line of remarks(measured)) console.log(line)
  for (const { name, error } of rows.filter(hasFailed)) console.log(`${name} failed: ${error}`)
}

function* remarks(rows: readonly MeasuredRow[]): Generator<string> {
  const named = (name: string): MeasuredRow | undefined => rows.find((row) => row.name === name)
  const [small, big] = [named('c-100mb'), named('c-1000mb')]
  if (small && big) {
    const ratio = (times: (row: MeasuredRow) => number): string => (times(big) / times(small)).toFixed(2)
    yield `Ten times the memory, restore: × ${ratio(({ restoreMs }) => restoreMs.p50)}, with a network of its own × ${ratio(({ restoreNetMs }) => restoreNetMs.p50)}.`
  }
  for (const reason of new Set(rows.map(({ criu }) => errorOf(criu)))) if (reason !== undefined) yield `CRIU: ${reason}.`
}

const criuCell = (criu: CriuResult): string =>
  'error' in criu ? (criu.error.split(':')[0] ?? '') : `${criu.dumpMs.toFixed(0)} / ${criu.restoreMs.toFixed(0)}`
const errorOf = (criu: CriuResult): string | undefined => ('error' in criu ? criu.error : undefined)
const pair = ({ p50, p95 }: Percentiles): string => `${p50.toFixed(2)} / ${p95.toFixed(2)}`
