/** How long tests waited for their server, as a histogram on a logarithmic scale: both ways of getting one fit on it. */

const BARS_WIDTH = 50
/** Bounds of the rows within a factor of ten. */
const STEPS = [1, 2, 5]

export interface Series {
  readonly name: string
  readonly mark: string
  readonly values: readonly number[]
}

export function plot(series: readonly Series[]): string {
  const bounds = boundsAround(series.flatMap(({ values }) => values))
  const rows = bounds.slice(1).map((end, i) => ({ start: bounds[i] ?? 0, end }))
  const countOf = ({ values }: Series, { start, end }: { start: number; end: number }): number =>
    values.filter((value) => start <= value && value < end).length
  const most = Math.max(...rows.flatMap((row) => series.map((one) => countOf(one, row))))
  const lines = rows.map((row) => {
    const bars = series.map((one) => ({ mark: one.mark, count: countOf(one, row) })).filter(({ count }) => count > 0)
    const drawn = bars.map(({ mark, count }) => `${mark.repeat(Math.max(1, Math.round((count / most) * BARS_WIDTH)))} ${count}`)
    return `${`${row.start} – ${row.end} ms`.padStart(18)} │${drawn.join('  ')}`
  })
  return [...lines, `${' '.repeat(20)}${series.map(({ name, mark }) => `${mark} ${name}`).join('   ')}`].join('\n')
}

/** 1, 2, 5, 10, 20 … from the last one below all values to the first one above. */
function boundsAround(values: readonly number[]): number[] {
  const all = Array.from({ length: 8 }, (_, power) => STEPS.map((step) => Number((step * 10 ** (power - 2)).toPrecision(1)))).flat()
  const first = all.findLastIndex((bound) => bound <= Math.min(...values))
  const last = all.findIndex((bound) => bound > Math.max(...values))
  return all.slice(Math.max(0, first), last === -1 ? undefined : last + 1)
}
