/** Images that were written wrong: one value of the metadata is another than it was. */

/** Where a value stands: `['processes', 0, 'threads', 1, 'tid']`. */
type Path = readonly (string | number)[]

/** Random numbers, the same for the same seed (mulberry32). */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) % below
  }
}

/** Changes one value of an image in place. @returns what, in words */
export function mutate(image: object, random: (below: number) => number): string {
  const byShape = new Map<string, Path[]>()
  for (const path of pathsIn(image, [])) {
    const shape = path.map((step) => (typeof step === 'number' ? '#' : step)).join('.')
    byShape.set(shape, [...(byShape.get(shape) ?? []), path])
  }
  // Each field is as likely as any other, however often it comes.
  const path = any(any([...byShape.values()], random), random)
  const holder = path.slice(0, -1).reduce((value, step) => value[step] as Holder, image as Holder)
  const last = path.at(-1) ?? ''
  const before = holder[last]
  holder[last] = changed(before, random)
  return `${path.join('.')}: ${print(before)} became ${print(holder[last])}`
}

type Holder = Record<string | number, unknown>

function* pathsIn(value: unknown, path: Path): Generator<Path> {
  if (value === null || value === undefined) return
  if (typeof value !== 'object' || value instanceof Uint8Array || Array.isArray(value)) yield path
  if (typeof value !== 'object' || value instanceof Uint8Array) return
  for (const [key, field] of Object.entries(value)) yield* pathsIn(field, [...path, Array.isArray(value) ? Number(key) : key])
}

const any = <T>(values: readonly T[], random: (below: number) => number): T => values[random(values.length)]!

function changed(value: unknown, random: (below: number) => number): unknown {
  if (typeof value === 'bigint') return any([0n, 1n, -1n, value + 1n, value + 4096n, value - 4096n, 1n << 40n, 1n << 62n], random)
  if (typeof value === 'number') return any([0, 1, -1, value + 1, value - 1, value * 2, 4096, 0x7fff_ffff], random)
  if (typeof value === 'boolean') return !value
  if (typeof value === 'string') return any(['', 'x', `${value}x`, '/nowhere'], random)
  if (value instanceof Uint8Array)
    return any([new Uint8Array(), value.slice(0, -1), new Uint8Array(value.length), new Uint8Array(4096)], random)
  const list = [...(value as unknown[])]
  const at = random(list.length + 1)
  return any(
    [[], list.toSpliced(at, 1), list.toReversed(), [...list.slice(0, at), ...structuredClone(list.slice(0, 1)), ...list.slice(at)]],
    random,
  )
}

function print(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return Array.isArray(value) ? `a list of ${value.length}` : String(value)
}
