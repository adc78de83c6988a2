/** Quantities for people. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** Three digits are enough: `1.23 MB`. */
export function bytes(count: number): string {
  const power = count < 1000 ? 0 : Math.min(Math.floor(Math.log10(count) / 3), UNITS.length - 1)
  return `${threeDigits(count / 1000 ** power)} ${UNITS[power]}`
}

export const milliseconds = (time: number): string => (time < 1000 ? `${threeDigits(time)} ms` : `${threeDigits(time / 1000)} s`)

const threeDigits = (value: number): string => String(value >= 100 ? Math.round(value) : Number(value.toPrecision(3)))
