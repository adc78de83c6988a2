/** What a row of the bench comes to. Times in milliseconds. */

export interface Percentiles {
  readonly p50: number
  readonly p95: number
}

export type CriuResult = { readonly dumpMs: number; readonly restoreMs: number } | { readonly error: string }

export interface Row {
  readonly name: string
  /** From the start of the program until it does its work. */
  readonly coldMs: number
  /** From the request until the image is on disk, fsynced and with its digests. */
  readonly checkpointMs: number
  /** How long the program stood still for it. */
  readonly standstillMs: number
  /** From an image on disk to a template that can be forked, huge pages collapsed. */
  readonly loadMs: number
  /** From the request until the first instruction of the copy, in fresh namespaces: with the network of the host, and with one of its own; with one of its own both times where a program needs it. */
  readonly restoreMs: Percentiles
  readonly restoreNetMs: Percentiles
  /** What a test waits for when a copy, with a network of its own, stands by. */
  readonly waitMs: Percentiles
  /** The median of namespaces and forks of the same size and number of threads and processes, with the network of `restoreMs`: the least that `restoreMs` could be. */
  readonly floorMs: number
  readonly criu: CriuResult
  readonly imageBytes: number
  /** Memory that one more copy takes: see memory.ts. */
  readonly instanceBytes: number
}

/** What the table shows beside it. */
export interface MeasuredRow extends Row {
  readonly megabytes: number
  /** Beside the first of each process. */
  readonly threads: number
  readonly processes: number
  readonly floorNetMs: number
}

export interface FailedRow {
  readonly name: string
  readonly error: string
}

export const hasFailed = (row: Row | FailedRow): row is FailedRow => 'error' in row

export function asJson(row: MeasuredRow | FailedRow): Row | FailedRow {
  if (hasFailed(row)) return row
  return {
    name: row.name,
    coldMs: rounded(row.coldMs),
    checkpointMs: rounded(row.checkpointMs),
    standstillMs: rounded(row.standstillMs),
    loadMs: rounded(row.loadMs),
    restoreMs: roundedPair(row.restoreMs),
    restoreNetMs: roundedPair(row.restoreNetMs),
    waitMs: roundedPair(row.waitMs),
    floorMs: rounded(row.floorMs),
    criu: 'error' in row.criu ? row.criu : { dumpMs: rounded(row.criu.dumpMs), restoreMs: rounded(row.criu.restoreMs) },
    imageBytes: row.imageBytes,
    instanceBytes: row.instanceBytes,
  }
}

/** No clock here is better than a microsecond. */
const rounded = (ms: number): number => Number(ms.toFixed(3))
const roundedPair = ({ p50, p95 }: Percentiles): Percentiles => ({ p50: rounded(p50), p95: rounded(p95) })
