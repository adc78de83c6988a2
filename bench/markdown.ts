/** The table of README: a row per program. */
import { hasFailed, type FailedRow, type MeasuredRow, type Percentiles } from './result.ts'

const MEGABYTE = 1 << 20

const columns: readonly { readonly head: string; readonly cell: (row: MeasuredRow) => string }[] = [
  { head: 'ms', cell: ({ name, megabytes }) => `${name}, ${megabytes} MB` },
  { head: 'cold start', cell: ({ coldMs }) => coldMs.toFixed(0) },
  { head: 'stands still for a checkpoint', cell: ({ standstillMs }) => standstillMs.toFixed(0) },
  { head: 'restore p50 (p95)', cell: ({ restoreMs }) => pair(restoreMs) },
  { head: '× floor', cell: ({ restoreMs, floorMs }) => (restoreMs.p50 / floorMs).toFixed(1) },
  { head: 'with a network p50 (p95)', cell: ({ restoreNetMs }) => pair(restoreNetMs) },
  { head: '× floor', cell: ({ restoreNetMs, floorNetMs }) => (restoreNetMs.p50 / floorNetMs).toFixed(1) },
  { head: 'a test waits p50 (p95)', cell: ({ waitMs }) => pair(waitMs) },
  { head: 'one more copy, MB', cell: ({ instanceBytes }) => (instanceBytes / MEGABYTE).toFixed(1) },
]

export function printMarkdown(rows: readonly (MeasuredRow | FailedRow)[]): void {
  const lines = [columns.map(({ head }) => head), columns.map((_, i) => (i === 0 ? '---' : '--:'))]
  for (const row of rows) if (!hasFailed(row)) lines.push(columns.map(({ cell }) => cell(row)))
  for (const line of lines) console.log(`| ${line.join(' | ')} |`)
}

const pair = ({ p50, p95 }: Percentiles): string => `${p50.toFixed(1)} (${p95.toFixed(1)})`
