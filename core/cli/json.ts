/** JSON of what images hold: numbers of 64 bits, and bytes. */

/** Integers that a double cannot hold come as decimal strings, bytes as how many there are. */
function plain(this: unknown, key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString()
  // The holder is asked, as a Buffer has turned itself into something else already (toJSON).
  const held = (this as Record<string, unknown>)[key]
  return held instanceof Uint8Array ? { bytes: held.length } : value
}

export const toJson = (value: unknown): string => JSON.stringify(value, plain)
